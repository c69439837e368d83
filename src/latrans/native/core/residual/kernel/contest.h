// What a strip costs with each of several networks: all see the same inputs, described once.
#pragma once
#include "residual/kernel/classify.h"

namespace latrans {
namespace {

// Adds what lanes first .. last cost whose coded values are known.
template <class T>
void add_costs(const Scene<T> &scene, const Contest &contest, bool described, int first, int last,
               const T *coded, Answer<T> &a) {
    Tokens found;
    for (int n = 0; n < contest.n_networks; ++n) {
        conclude(scene, described ? contest.networks[n] : nullptr, first, last, a);
        tokenise_step(a, coded, found);
        for (int lane = first; lane < last; ++lane)
            contest.totals[n] +=
                contest.costs[a.table[lane] * static_cast<int>(kTokens) + found.tokens[lane]] +
                contest.per_raw_bit * found.lengths[lane];
        if (contest.into) store_tokens(contest.into[n], a, first, last, found);
    }
}

// Samples of several steps, as if they were one.
template <class T>
class Batch {
public:
    Batch(const Strip<T> &strip, const Contest &contest)
        : scene_(*strip.scene), contest_(contest) {
        for (int i = 0; i < 3; ++i) answer_.rows[i] = contest.rows[i];
    }

    // Takes a lane of a step.
    void add(const Answer<T> &from, int lane, bool described, T coded) {
        if (n_ == kLanes) flush();
        copy_lane(from, lane, answer_, n_);
        // At most a row for two inputs.
        const int n_rows = described ? (scene_.network->layers[0].n_in + 1) / 2 : 0;
        for (int i = 0; i < n_rows; ++i)
            answer_.rows[0][i * kLanes + n_] = from.rows[0][i * kLanes + lane];
        described_ |= described;
        coded_[n_++] = coded;
    }

    void flush() {
        add_costs(scene_, contest_, described_, 0, n_, coded_, answer_);
        n_ = 0;
        described_ = false;
    }

private:
    const Scene<T> &scene_;
    const Contest &contest_;
    int n_ = 0;
    bool described_ = false;
    alignas(64) T coded_[kLanes] = {};
    Answer<T> answer_{};
};

// Calls visit(first, last, described, coded) for each step of a strip, as it is described
// and its samples are put.  Anchors, and so what comes back, are the same with every network.
template <class T, class Visit>
Outcome each_described(const Strip<T> &strip, Visit &&visit) {
    const Scene<T> &scene = *strip.scene;
    Answer<T> &a = *strip.answer;
    alignas(64) T coded[kLanes] = {};
    return each_step(strip, [&](int64_t step, int first, int last) {
        bool described = false;
        if (!describe(scene, step * strip.stride, first, last, a, described))
            return Outcome::kTooNarrow;
        if (scene.step > 1) conclude(scene, nullptr, first, last, a);
        if (!code_samples(strip, step, first, last, coded)) return Outcome::kOutside;
        put(strip, step, first, last);
        visit(first, last, described, coded);
        return Outcome::kDone;
    });
}

template <class T>
Outcome contest(const Strip<T> &strip, const Contest &contest) {
    Answer<T> &a = *strip.answer;
    if (strip.extent.n_lanes > kFewLanes)
        return each_described(strip, [&](int first, int last, bool described, const T *coded) {
            add_costs(*strip.scene, contest, described, first, last, coded, a);
        });
    Batch<T> batch(strip, contest);
    const Outcome outcome =
        each_described(strip, [&](int first, int last, bool described, const T *coded) {
            for (int lane = first; lane < last; ++lane)
                batch.add(a, lane, described, coded[lane]);
        });
    batch.flush();
    return outcome;
}

}  // namespace
}  // namespace latrans
