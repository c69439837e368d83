// One step of the residual coder, for one instruction set.  A translation unit names the set and
// the kernel (LATRANS_KERNEL) and includes this.  Twin of residual/gather.py and features.py; [B]
// refers to the bounds in residual_step.h.
#pragma once
#include "residual_fixed.h"
#include "residual_network.h"
#include "residual_place.h"
#include "residual_simd.h"
#include "residual_step.h"

namespace latrans {
namespace {

// A vector of lanes of a step: first lane `b`, cell `at` lanes from the origin.
template <class T>
class Block {
public:
    Block(const Scene<T> &scene, ptrdiff_t at, int b, int begin, int end, Answer<T> &answer)
        : s(scene), p(*scene.plan), at(at + b), b(b), a(answer), first(scene.first_row && b == 0) {
        for (int i = 0; i < width<T>; ++i) active[i] = b + i >= begin && b + i < end ? -1 : 0;
    }

    // Prediction, energy, and whether the surroundings are flat.  False where int32 is too small.
    bool predict() {
        take_differences();
        V<T> sum_high, sum_low;
        weigh<false>(s.n_weights, sum_high, sum_low);
        const V<T> limit = load(s.limit + b);
        const V<T> bounded = clamp(sum_high, -limit, limit);
        if (sizeof(T) == 4 && any<T>((bounded != sum_high) & (load(active) != 0))) return false;
        delta = bounded * load(s.gain + b) + (sum_low << load(s.up + b) >> load(s.down + b));
        if (sizeof(T) == 8) delta = limited(delta);
        store(a.prediction + b, base * 256 + delta);

        V<T> sum = V<T>{};
        for (int i = 0; i < p.n_errors; ++i) {
            errors[i] = own(s.errors, p.errors[i]);
            sum += magnitude(errors[i]) * p.error_weights[i];
        }
        const V<T> mean = sum >> 3;
        // ((230 * mean + 26 * ...) >> 8) + 5, in parts that stay in range [B].
        const V<T> near = least(load(s.sigma + b), mean * 3 + 77);
        energy = (mean >> 8) * 230 + (((mean & 255) * 230 + near * 26) >> 8) + 5;
        last_energy = load(a.energy + b);
        store(a.energy + b, energy);
        level = p.plane ? differences[0] : V<T>{};
        store(a.level + b, base + level);
        slide_windows();
        count_equal();
        if (p.n_adaptive) foretell();
        return true;
    }

    // Whether an active lane needs the network.
    bool needs_network() const {
        return s.network && !(p.flat && !any<T>((equal_12 != 12) & (load(active) != 0)));
    }

    // Logarithm of the energy, which the class needs with and without a network.
    void measure() {
        const Unit<T> by_energy(p, energy);
        store32<T>(a.log_energy + b, by_energy.log);
    }

    // Network inputs; false where int32 is too small.
    bool describe() {
        row = a.rows[0] + b;
        V<T> around = V<T>{};
        for (int k = 0; k < 8; ++k) around += magnitude(differences[k]);
        const Unit<T> by_scale(p, around * 32 + 64), by_energy(p, energy);
        store32<T>(a.log_energy + b, by_energy.log);
        if (!own_inputs(by_scale, by_energy)) return false;
        if (p.has_picture) picture_inputs(by_scale, by_energy);
        for (int i = 0; i < s.network->n_references; ++i)
            reference_inputs(s.references[i], i, by_scale, by_energy);
        return true;
    }

private:
    // A neighbour in this plane; in the first row the left one stands for those above.
    V<T> own(const T *canvas, Look look) const {
        const V<T> v = load(canvas + at + look.delta);
        if (!first || !look.above) return v;
        V<T> lane = V<T>{};
        reinterpret_cast<T *>(&lane)[0] = 1;
        return select(lane != 0, load(canvas + at + p.left.delta), v);
    }
    V<T> elsewhere(const T *canvas, Look look) const { return load(canvas + at + look.delta); }
    static V<T> rounded_mean(V<T> x, V<T> y) { return (x + y + 1) >> 1; }

    void take_differences() {
        base = rounded_mean(own(s.samples, p.base[0]), own(s.samples, p.base[1]));
        int n = 0;
        for (int i = 0; i < p.n_taps; ++i) differences[n++] = own(s.samples, p.taps[i]) - base;
        if (p.has_picture)
            for (Look look : p.picture_taps) differences[n++] = elsewhere(s.picture, look) - base;
        for (int r = 0; r < s.n_references; ++r) {
            const T *samples = s.references[r].samples;
            const V<T> level = rounded_mean(elsewhere(samples, p.reference_base[0]),
                                            elsewhere(samples, p.reference_base[1]));
            for (int i = 0; i < p.n_reference_taps; ++i)
                differences[n++] = elsewhere(samples, p.reference_taps[i]) - level;
        }
    }

    // Weighted sum of the first n differences as high * 256 + low.
    template <bool trained>
    void weigh(int n, V<T> &high, V<T> &low) const {
        const auto weight = [&](int k) {
            return trained ? number<T>(p.trained[k]) : load(s.weights[k] + b);
        };
        V<T> sum = V<T>{}, upper = V<T>{};
        if (s.wide_sums) {
            // |difference| < 2^17, so both sums stay below 2^30 over 64 taps [B].
            for (int k = 0; k < n; ++k) {
                sum += (differences[k] & 255) * weight(k);
                upper += (differences[k] >> 8) * weight(k);
            }
        } else {
            for (int k = 0; k < n; ++k) sum += differences[k] * weight(k);
        }
        high = upper + (sum >> 8);
        low = sum & 255;
    }

    // Learns from the last sample's error, then foretells the next: residual/adaptive.py.
    void foretell() {
        const Unit<T> then(p, last_energy), now(p, energy);
        const V<T> missed = own(s.errors, p.adaptive[0]) - load(a.foretold + b);
        const V<T> bend = clamp(then.ratio(missed), number<T>(-kFilterStep), number<T>(kFilterStep));
        const V<T> miss = load(a.miss + b);
        store(a.miss + b, miss + ((magnitude(missed) - miss) >> 4));
        V<T> sum = V<T>{};
        for (int k = 0; k < p.n_adaptive; ++k) {
            const V<T> weight = clamp(load(a.filter[k] + b) + bend * load(a.seen[k] + b),
                                      number<T>(-kFilterLimit), number<T>(kFilterLimit));
            const V<T> input = now.ratio(own(s.errors, p.adaptive[k]));
            sum += weight * input;
            store(a.filter[k] + b, weight);
            store(a.seen[k] + b, input);
        }
        const V<T> share = clamp(sum >> 11, number<T>(-kShareLimit), number<T>(kShareLimit));
        const V<T> foretold = (energy >> 10) * share + (((energy & 1023) * share) >> 10);
        store(a.share + b, share);
        store(a.foretold + b, foretold);
        if (p.n_gates > 1) store(a.gates[p.n_gates - 2] + b, foretold);
    }

    void slide_windows() {
        using U = V<Unsigned<T>>;
        const auto size = [&](ptrdiff_t delta) {
            return bits<U>(magnitude(load(s.errors + at + delta)));
        };
        for (int i = 0; i < p.n_windows; ++i) {
            const Box &box = p.windows[i];
            auto *kept = reinterpret_cast<Unsigned<T> *>(a.sums[i] + b);
            U sum = load(kept) + size(p.left.delta) - size(box.leave);
            for (int k = 1; k <= box.above; ++k)
                sum += size(box.enter + k * p.row_above) - size(box.leave + k * p.row_above);
            store(kept, sum);
            windows[i] = sum;
        }
        if (!first) return;
        for (int i = 0; i < p.n_windows; ++i) {
            // The whole box of the first row holds its left neighbour.
            auto *lanes = reinterpret_cast<Unsigned<T> *>(&windows[i]);
            const T left = s.errors[at + p.left.delta];
            lanes[0] = static_cast<Unsigned<T>>(left < 0 ? -left : left) *
                       static_cast<Unsigned<T>>(p.windows[i].count);
        }
    }

    void count_equal() {
        V<T> count = V<T>{};
        for (int k = 0; k < 24; ++k) {
            if (k == 6) equal_6 = count;
            if (k == 12) equal_12 = count;
            count += select(differences[k] == level, number<T>(1), V<T>{});
        }
        equal_24 = count;
        const V<T> flat = select(equal_12 == 12, number<T>(p.flat), V<T>{});
        store32<T>(a.flat + b, flat);
    }

    void emit(V<T> v) {
        store32<T>(row, v);
        row += kLanes;
    }
    static V<T> limited(V<T> v) {
        const V<T> limit = number<T>(static_cast<T>(kWideLimit));
        return clamp(v, -limit, limit);
    }
    static V<T> half(V<T> v) { return saturate<T>(v >> 1); }

    bool own_inputs(const Unit<T> &by_scale, const Unit<T> &by_energy) {
        V<T> near = V<T>{}, far = V<T>{};
        for (int k = 0; k < 3; ++k) near += magnitude(differences[k]);
        for (int k = 8; k < 16; ++k) far += magnitude(differences[k]);
        for (int k = 0; k < 8; ++k) emit(by_scale.ratio(differences[k] * 256));
        emit(saturate<T>((by_scale.log - 256) >> 2));
        emit(half(log2_of<T>(p, near * 85 + 64) - by_scale.log));
        emit(half(log2_of<T>(p, far * 32 + 64) - by_scale.log));
        emit(by_scale.ratio(delta));
        emit((((delta + 128) & 255) - 128) >> 1);
        emit(half(by_energy.log - by_scale.log));
        emit(saturate<T>((by_energy.log - 256) >> 2));
        emit(half(load(s.log_sigma + b) - by_energy.log));
        const V<T> recent = (magnitude(errors[0]) + magnitude(errors[1])) >> 1;
        emit(half(log2_of<T>(p, recent + 1) - by_energy.log));
        for (int i = 0; i < p.n_errors; ++i) emit(by_energy.ratio(errors[i]));
        emit(equal_6 * 16);
        emit(equal_24 * 4);
        const int last = p.n_windows - 1;
        const auto quiet = windows[last] < static_cast<Unsigned<T>>(13 * p.windows[last].count);
        emit(select(quiet, number<T>(64), V<T>{}));
        for (int i = 0; i < p.n_windows; ++i)
            emit(half(log2<T>(p, windows[i] + 1) - p.windows[i].log_count - by_energy.log));
        alternatives(by_energy);
        if (p.n_adaptive) {
            emit(saturate<T>(load(a.share + b) >> 6));
            emit(half(log2_of<T>(p, load(a.miss + b) + 1) - by_energy.log));
        }

        V<T> high, low;
        weigh<true>(p.n_own_taps, high, low);
        if (sizeof(T) == 4) {
            const V<T> bounded = clamp(high, number<T>(-(1 << 22)), number<T>(1 << 22));
            if (any<T>((bounded != high) & (load(active) != 0))) return false;
            high = bounded;
        }
        V<T> trained = high * 16 + (low >> 4);
        if (sizeof(T) == 8) trained = limited(trained);
        trained -= delta;
        store(a.gates[p.n_gates - 1] + b, trained);
        emit(by_energy.ratio(trained));
        return true;
    }

    void alternatives(const Unit<T> &by_energy) {
        int gate = 0;
        const auto offer = [&](V<T> value, bool described) {
            const V<T> difference = (value - base) * 256 - delta;
            store(a.gates[gate++] + b, difference);
            if (described) emit(by_energy.ratio(difference));
        };
        for (int i = 0; i < p.n_predictors; ++i) {
            const auto &terms = p.predictors[i];
            V<T> sum = V<T>{};
            for (int k = 0; k < terms.n_terms; ++k)
                sum += own(s.samples, terms.looks[k]) * terms.weights[k];
            if (i == 0 && p.median) {
                const V<T> left = own(s.samples, p.left), above = own(s.samples, p.above);
                offer(clamp(sum, least(left, above), most(left, above)), true);
            }
            offer(sum, i < p.n_described);
        }
    }

    template <class Reference>
    void reference_inputs(const Reference &reference, int which, const Unit<T> &by_scale,
                          const Unit<T> &by_energy) {
        const Unit<T> unit(p, load(reference.energy + at));
        const V<T> centre = elsewhere(reference.errors, p.reference_errors[0]);
        emit(unit.ratio(centre));
        emit(by_energy.ratio(centre));
        emit(half(unit.log - by_energy.log));
        for (int i = 0; i < p.n_reference_errors; ++i) {
            const V<T> error = elsewhere(reference.errors, p.reference_errors[i]);
            emit(half(log2_of<T>(p, magnitude(error) + 1) - unit.log));
        }
        const V<T> *near = differences + p.n_own_taps + which * p.n_reference_taps;
        for (int k = 0; k < p.n_near; ++k) emit(by_scale.ratio(near[k] * 256));
    }

    void picture_inputs(const Unit<T> &by_scale, const Unit<T> &by_energy) {
        const V<T> *around = differences + p.n_taps;
        for (int k = 0; k < kPictureTaps; ++k) emit(by_scale.ratio(around[k] * 256));
        emit(by_energy.ratio(around[kPictureTaps / 2] * 256 - delta));
        for (Look look : p.picture_errors)
            emit(by_scale.ratio((own(s.samples, look) - elsewhere(s.picture, look)) * 256));
    }

    const Scene<T> &s;
    const Plan &p;
    const ptrdiff_t at;
    const int b;
    Answer<T> &a;
    const bool first;
    int32_t *row;
    V<T> base, level, delta, energy, last_energy, equal_6, equal_12, equal_24;
    V<T> differences[kMaxTaps], errors[kMaxErrors];
    V<Unsigned<T>> windows[kMaxWindows];
    alignas(64) T active[width<T>];
};

template <class T>
bool idle(int b, int begin, int end) {
    return b + width<T> <= begin || b >= end;
}

// Predictions, and if any lane needs a network its inputs.  False where int32 is too small.
template <class T>
bool describe(const Scene<T> &scene, ptrdiff_t at, int begin, int end, Answer<T> &answer,
              bool &described) {
    for (int b = 0; b < kLanes; b += width<T>) {
        if (idle<T>(b, begin, end)) continue;
        Block<T> block(scene, at, b, begin, end, answer);
        if (!block.predict()) return false;
        if (block.needs_network()) {
            described = true;
            if (!block.describe()) return false;
        } else if (!scene.network) {
            block.measure();
        }
    }
    return true;
}

// Places and classes by a network that has been described to, or none.
template <class T>
bool conclude(const Scene<T> &scene, const Network *network, int begin, int end,
              Answer<T> &answer) {
    const int32_t *outputs = network ? run_network(*network, answer.rows) : nullptr;
    for (int b = 0; b < kLanes; b += width<T>)
        if (!idle<T>(b, begin, end) && !place(scene, b, outputs, begin, end, answer)) return false;
    choose_table(scene, outputs, answer);
    return true;
}

// Fills the answer for lanes begin .. end of the step whose lane 0 lies `at` cells from the
// origin.  Returns false where a value is beyond what int32 takes.
template <class T>
bool step(const Scene<T> &scene, ptrdiff_t at, int begin, int end, Answer<T> &answer) {
    bool described = false;
    return describe(scene, at, begin, end, answer, described) &&
           conclude(scene, described ? scene.network : nullptr, begin, end, answer);
}

}  // namespace
}  // namespace latrans
