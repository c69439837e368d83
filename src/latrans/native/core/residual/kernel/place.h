// From the network's outputs to centres and classes: the twin of `place` in residual/classes.py.
// Outputs come within their limits (residual/kernel/network.h).
#pragma once
#include "residual/classes.h"
#include "residual/kernel/step.h"
#include "simd.h"

namespace latrans {
namespace {

// How far the gates of the alternatives and the first output move the prediction.
//
// With A the alternatives minus the reference level, which have no fraction bits, and F the rest:
// floor((256 A + F) / 64) = 4 A + floor(F / 64), and F is summed as 64 * high + low.  In int32
// 4 A is below 2^29, the sum of high below 2^30, and all of it below 2^31 [B].
template <class G, class T>
V<T> moved(int b, const int32_t *outputs, const Answer<T> &a) {
    const auto output = [&](int k) {
        return convert<T, width<T>>(load32<T>(outputs + k * kLanes + b));
    };
    constexpr int n_whole = G::n_alternatives + G::median;
    V<T> sums[2] = {}, high = V<T>{}, low = V<T>{}, gates = V<T>{};
    const auto add = [&](V<T> value, V<T> gate) {
        high += (value >> 6) * gate;
        low = add_small<T>(low, value & 63, gate);
    };
    unrolled<n_whole>([&](auto k) {
        const V<T> gate = output(3 + k);
        gates += gate;
        sums[k % 2] += load(a.gates[k] + b) * gate;
    });
    if constexpr (G::n_adaptive > 0) add(load(a.gates[n_whole] + b), output(3 + n_whole));
    constexpr int trained = kGates<G> - 1;
    const V<T> gate = output(3 + trained);
    add(load(a.gates[trained] + b), gate);
    add(load(a.delta + b), -(gates + gate));
    const V<T> energy = load(a.energy + b), mean = output(0);
    return ((sums[0] + sums[1]) << 2) + high + (low >> 6) + (energy >> 6) * mean +
           (add_small<T>(V<T>{}, energy & 63, mean) >> 6);
}

// Centres, and the parts of the class that need the carrier, of one vector of lanes.  `outputs` is
// null where no lane needs the network.
template <class G, class T>
void place(const Scene<T> &s, int b, const int32_t *outputs, Answer<T> &a) {
    const auto flat = convert<T, width<T>>(load32<T>(a.flat + b)) != 0;
    const V<T> expected = select(flat, load(a.level + b) << 8, load(a.prediction + b));
    V<T> shift = V<T>{};
    if (outputs) shift = select(flat, V<T>{}, moved<G, T>(b, outputs, a));
    const V<T> top = number<T>(s.largest) << 8;
    V<T> mean = clamp(expected + shift, V<T>{}, top);
    V<T> anchor = V<T>{};
    if (s.step > 1) {
        // Coded values count steps from the rounded prediction.
        anchor = (clamp(expected, V<T>{}, top) + 128) >> 8;
        const V<T> away = mean - (anchor << 8);
        mean = ((away >> 8) * s.per_step + (((away & 255) * s.per_step) >> 8)) >> 8;
    }
    const V<T> centre = (mean + 128) >> 8;
    const V<T> fraction = mean - (centre << 8);
    store(a.anchor + b, anchor);
    store(a.centre + b, centre);
    store32<T>(a.flip + b, select(fraction < 0, number<T>(1), V<T>{}));
    store32<T>(a.phase + b, least(magnitude(fraction) >> 5, number<T>(kPhases - 1)));
}

// The rest of the class.
template <class T>
void choose_table(const Scene<T> &s, const int32_t *outputs, Answer<T> &a) {
    const Plan &p = *s.plan;
    using W = V<int32_t>;
    constexpr int kLastOctave = kScales - kStepsPerOctave;
    for (int b = 0; b < kLanes; b += width<int32_t>) {
        W spread = W{}, tail = W{};
        if (outputs) {
            spread = load(outputs + kLanes + b);
            tail = load(outputs + 2 * kLanes + b);
        }
        const W octaves = load(a.log_energy + b) + spread - (96 + s.log_step);
        static_assert(kStepsPerOctave == 3, "times three");
        const W scale = clamp((octaves + octaves + octaves) >> 5, W{}, number(kMaxScale));
        const W over = most(scale - kLastOctave, W{});
        const W thirds = add_products(W{}, over, number(171)) >> 9;  // over / 3, below 128
        const W narrow = scale - (thirds << 1) - thirds;
        const W column = select(narrow < kPhased, (narrow << 2) + load(a.phase + b),
                                narrow + (kPhased * kPhases - kPhased));
        static_assert(kPhases == 4, "times four");
        const W which = select(tail >= p.tails[0], number(kTablesPerTail), W{}) +
                        select(tail >= p.tails[1], number(kTablesPerTail), W{});
        const auto flat = load(a.flat + b) != 0;
        store(a.table + b, select(flat, W{}, which + column + 1));
        store(a.low_bits + b, select(flat, W{}, thirds));
        store(a.flip + b, select(flat, W{}, load(a.flip + b)));
    }
}

}  // namespace
}  // namespace latrans
