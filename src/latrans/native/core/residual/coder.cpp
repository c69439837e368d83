#include "residual/coder.h"

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <type_traits>

#include "residual/kernel/stretch.h"

namespace latrans {

namespace {

static_assert(kMostWords <= kWordsBeyond, "loops look at words that do not exist");

constexpr int64_t kPiece = 1024;  // steps that are pushed at once: what room they need is not known

const std::array<uint64_t, kProbabilities + 1> &reciprocals() {
    static const auto all = [] {
        std::array<uint64_t, kProbabilities + 1> values{};
        for (size_t i = 1; i < values.size(); ++i)
            values[i] = (uint64_t{1} << kReciprocalBits) / i + 1;
        return values;
    }();
    return all;
}

Tables tables_of(const Model &model, const TableMap &map) {
    return {model.tables().slots(0), model.tables().intervals(0), map.data()};
}

Extent extent_at(const Schedule &s, int64_t top) {
    return {s.plane, static_cast<int>(s.lanes(top)), s.columns, s.n_samples - top * s.columns};
}

// How many steps a strip has, and how many samples they code.
size_t n_steps(const Extent &e) {
    return static_cast<size_t>(larger(0, end_step(e) - first_step(e)));
}
size_t n_coded(const Extent &e) {
    if (e.plane) return static_cast<size_t>(e.n_lanes * e.columns);
    int64_t n = 0;
    for (int lane = 0; lane < e.n_lanes; ++lane) n += larger(0, lane_length(e, lane) - 1);
    return static_cast<size_t>(n);
}

// First samples of a track's lanes.
std::vector<int32_t> firsts_of(const Job &job, SamplesView plane) {
    const Schedule &s = job.schedule;
    std::vector<int32_t> firsts;
    for (int64_t lane = 0; !s.plane && lane < s.rows; ++lane)
        firsts.push_back(lane * s.columns < s.n_samples
                             ? static_cast<int32_t>(plane.at(lane * s.columns))
                             : job.lo);
    return firsts;
}

[[noreturn]] void refuse() {
    throw std::invalid_argument("a sample lies outside of the range");
}

template <class From>
bool narrow_within(const From *values, int64_t n, int64_t lo, int64_t hi) {
    using Limits = std::numeric_limits<From>;
    if (lo <= Limits::min() && hi >= Limits::max()) return true;
    From least = Limits::max(), most = Limits::min();
    for (int64_t i = 0; i < n; ++i) {
        least = std::min(least, values[i]);
        most = std::max(most, values[i]);
    }
    return least >= lo && most <= hi;
}

void check_range(const Model &model, const Job &job, SamplesView plane) {
    const int64_t n = job.schedule.n_samples;
    const auto within = [&](int64_t lo, int64_t hi) {
        return plane.visit([&](const auto *from) {
            using From = std::decay_t<decltype(*from)>;
            if constexpr (sizeof(From) == 8) return model.kernel().within_wide(from, n, lo, hi);
            else if constexpr (sizeof(From) == 4) return model.kernel().within(from, n, lo, hi);
            else return narrow_within(from, n, lo, hi);
        });
    };
    if (within(job.lo, job.hi)) return;
    if (!within(INT32_MIN, INT32_MAX))
        throw std::invalid_argument("a sample does not fit 32 bits");
    refuse();
}

// Calls run(plane) for every strip of a plane whose samples are known.  Returns what has become of
// the plane; null where int32 cannot carry it.
template <class T, class Run>
std::shared_ptr<Coded> walk(const Model &model, const Job &job, SamplesView samples, Run &&run) {
    const auto firsts = firsts_of(job, samples);
    Plane<T> plane(model, job);
    for (int64_t top = 0; top < job.schedule.rows; top += kLanes) {
        plane.begin(top, firsts.data());
        plane.enter(samples);
        const Outcome outcome = run(plane.strip());
        if (outcome == Outcome::kTooNarrow) return nullptr;
        if (outcome != Outcome::kDone) refuse();
        plane.end();
    }
    return plane.finish();
}

template <class T>
bool classify_as(const Model &model, const Job &job, SamplesView plane, Classified &result) {
    result.classes = std::make_shared<Classes>(job.schedule);
    Classes &classes = *result.classes;
    result.coded = walk<T>(model, job, plane, [&](const Strip<T> &strip) {
        return loops<T>(model).classify(strip,
                                        classes.room(n_coded(strip.extent), n_steps(strip.extent)));
    });
    classes.finish();
    return result.coded != nullptr;
}

template <class T>
bool contest_as(const Model &model, const Job &job, SamplesView plane, Contest contest,
                Contested &result) {
    std::fill_n(contest.totals, contest.n_networks, 0);
    for (auto &classes : result.classes) classes = std::make_shared<Classes>(job.schedule);
    std::vector<ClassBuffer *> sinks(result.classes.size());
    std::vector<ClassBuffer> into(result.classes.size());
    contest.into = into.empty() ? nullptr : into.data();
    const bool done = walk<T>(model, job, plane, [&](const Strip<T> &strip) {
        const Extent &extent = strip.extent;
        if (extent.n_lanes <= kFewLanes) {  // lanes of a track may be empty
            result.classes.clear();
            sinks.clear();
            contest.into = nullptr;
        }
        for (size_t i = 0; i < sinks.size(); ++i) {
            sinks[i] = &result.classes[i]->room(n_coded(extent), n_steps(extent));
            into[i] = *sinks[i];
        }
        const Outcome outcome = loops<T>(model).contest(strip, contest);
        if (outcome == Outcome::kDone)
            for (size_t i = 0; i < sinks.size(); ++i) *sinks[i] = into[i];
        return outcome;
    }) != nullptr;
    for (auto &classes : result.classes) classes->finish();
    return done;
}

// Whether no strip of a plane is so narrow that its steps are put together.
bool has_wide_strips(const Schedule &schedule) {
    return schedule.rows % kLanes == 0 || schedule.rows % kLanes > kFewLanes;
}

template <class T>
std::shared_ptr<Coded> decode_as(const Model &model, const Job &job, const TableMap &map,
                                 RansDecoder &decoder, const int32_t *firsts) {
    Stream stream = decoder.stream();
    Plane<T> plane(model, job);
    for (int64_t top = 0; top < job.schedule.rows; top += kLanes) {
        plane.begin(top, firsts);
        const Outcome outcome =
            loops<T>(model).decode(plane.strip(), tables_of(model, map), stream);
        if (outcome == Outcome::kTooNarrow) return nullptr;
        decoder.go_on(stream);
        if (outcome != Outcome::kDone)
            throw Damaged("entropy-coded section holds a sample out of range: damaged");
        plane.end();
    }
    return plane.finish();
}

}  // namespace

Classified classify(const Model &model, Job job, SamplesView plane) {
    job.known = true;
    check_range(model, job, plane);
    Classified result;
    if (!job.narrow(model) || !classify_as<int32_t>(model, job, plane, result))
        classify_as<int64_t>(model, job, plane, result);
    return result;
}

Contested contest(const Model &model, Job job, SamplesView plane, const std::vector<int> &networks,
                  const int32_t *costs, int32_t per_raw_bit, bool with_classes) {
    job.known = true;
    job.keep = false;
    job.network = -1;
    std::vector<const Network *> all;
    for (const int network : networks) {
        all.push_back(network < 0 ? nullptr : &model.network(static_cast<size_t>(network)));
        if (network >= 0) job.network = network;
    }
    check_range(model, job, plane);
    Contested result{std::vector<int64_t>(all.size()), {}};
    if (with_classes && has_wide_strips(job.schedule)) result.classes.resize(all.size());
    ScratchFrame scratch;
    const auto rows = [&] {
        const size_t n = model.widest_layer() * kLanes;
        auto *room = scratch.take<int32_t>(n);
        std::fill_n(room, n, 0);
        return room;
    };
    const Contest contest{all.data(),  static_cast<int>(all.size()), costs, per_raw_bit,
                          result.totals.data(), {rows(), rows(), rows()}, nullptr};
    if (!job.narrow(model) || !contest_as<int32_t>(model, job, plane, contest, result))
        contest_as<int64_t>(model, job, plane, contest, result);
    return result;
}

int64_t count(const Classes &classes, int64_t *counts) {
    const ClassBuffer &all = classes.all();
    for (size_t i = 0; i < all.n; ++i) ++counts[all.tables[i] * kTokens + all.tokens[i]];
    int64_t raw = 0;
    for (size_t i = 0; i < all.n_lengths; ++i) raw += all.lengths[i];
    return raw;
}

std::vector<uint8_t> encode(const Model &model, const std::vector<std::shared_ptr<Classes>> &planes,
                            const TableMap &map, size_t n_states) {
    RansEncoder encoder(n_states);
    Drain drain{encoder.states(), static_cast<int>(n_states), nullptr, reciprocals().data()};
    for (size_t i = planes.size(); i-- > 0;) {
        const Schedule &s = planes[i]->schedule();
        ClassBuffer sink = planes[i]->all();
        for (int64_t top = (s.rows - 1) / kLanes * kLanes; top >= 0; top -= kLanes) {
            const Extent extent = extent_at(s, top);
            const int64_t first = first_step(extent);
            for (int64_t end = end_step(extent), begin; end > first; end = begin) {
                begin = std::max(first, end - kPiece);
                // At most four words: a token, an escape, and raw bits in two parts.
                drain.at = encoder.next(static_cast<size_t>(4 * kLanes * (end - begin)));
                model.kernel().push(extent, begin, end, sink, tables_of(model, map), drain);
                encoder.set_next(drain.at);
            }
        }
    }
    return encoder.finish();
}

std::shared_ptr<Coded> decode(const Model &model, const Job &job, const TableMap &map,
                              RansDecoder &decoder, const int32_t *firsts) {
    const Schedule &s = job.schedule;
    for (int64_t lane = 0; !s.plane && lane < s.rows && lane * s.columns < s.n_samples; ++lane)
        if (firsts[lane] < job.lo || firsts[lane] > job.hi)
            throw Damaged("first sample of a lane lies outside of its range");
    const RansDecoder::Mark mark = decoder.mark();
    if (job.narrow(model)) {
        if (auto coded = decode_as<int32_t>(model, job, map, decoder, firsts)) return coded;
        decoder.rewind(mark);
    }
    return decode_as<int64_t>(model, job, map, decoder, firsts);
}

}  // namespace latrans
