// From the network's outputs to centres and classes: the twin of `place` in residual/classes.py.
#pragma once
#include "residual_classes.h"
#include "residual_simd.h"
#include "residual_step.h"

namespace latrans {
namespace {

// How far the gates of the alternatives move the prediction.  False where int32 is too small.
template <class T>
bool gated(const Scene<T> &s, int b, const int32_t *outputs, V<T> active, const Answer<T> &a,
           V<T> &shift) {
    const int n = s.plan->n_gates;
    V<T> high = V<T>{}, low = V<T>{};
    for (int k = 0; k < n; ++k) {
        const V<T> gate = clamp(convert<T, width<T>>(load32<T>(outputs + (3 + k) * kLanes + b)),
                                number<T>(-kGateLimit), number<T>(kGateLimit));
        const V<T> difference = load(a.gates[k] + b);
        high += (difference >> 8) * gate;
        low += (difference & 255) * gate;
    }
    if (sizeof(T) == 4) {
        const V<T> bounded = clamp(high, number<T>(-(1 << 26)), number<T>(1 << 26));
        if (any<T>((bounded != high) & active)) return false;
        high = bounded;
    }
    shift = high * 4 + (low >> 6);
    return true;
}

// Centres, and the parts of the class that need the carrier, of one vector of lanes.  `outputs` is
// null where no lane needs the network.  False where int32 is too small.
template <class T>
bool place(const Scene<T> &s, int b, const int32_t *outputs, int begin, int end, Answer<T> &a) {
    const auto flat = convert<T, width<T>>(load32<T>(a.flat + b)) != 0;
    const V<T> expected = select(flat, load(a.level + b) * 256, load(a.prediction + b));
    V<T> shift = V<T>{};
    if (outputs) {
        const V<T> answer = clamp(convert<T, width<T>>(load32<T>(outputs + b)),
                                  number<T>(-kMeanLimit), number<T>(kMeanLimit));
        const V<T> unit = load(a.energy + b);
        alignas(64) T active[width<T>];
        for (int i = 0; i < width<T>; ++i) active[i] = b + i >= begin && b + i < end ? -1 : 0;
        if (!gated(s, b, outputs, V<T>((load(active) != 0) & ~flat), a, shift)) return false;
        // (energy * answer) >> 6, in parts that stay in range [B].
        shift += (unit >> 6) * answer + (((unit & 63) * answer) >> 6);
        shift = select(flat, V<T>{}, shift);
    }
    const V<T> top = number<T>(s.largest * 256);
    V<T> mean = clamp(expected + shift, V<T>{}, top);
    V<T> anchor = V<T>{};
    if (s.step > 1) {
        // Coded values count steps from the rounded prediction.
        anchor = (clamp(expected, V<T>{}, top) + 128) >> 8;
        const V<T> away = mean - anchor * 256;
        mean = ((away >> 8) * s.per_step + (((away & 255) * s.per_step) >> 8)) >> 8;
    }
    const V<T> centre = (mean + 128) >> 8;
    const V<T> fraction = mean - centre * 256;
    store(a.anchor + b, anchor);
    store(a.centre + b, centre);
    store32<T>(a.flip + b, select(fraction < 0, number<T>(1), V<T>{}));
    store32<T>(a.phase + b, least(magnitude(fraction) >> 5, number<T>(kPhases - 1)));
    return true;
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
            spread = clamp(load(outputs + kLanes + b), number(-kScaleLimit), number(kScaleLimit));
            tail = clamp(load(outputs + 2 * kLanes + b), number(-kTailLimit), number(kTailLimit));
        }
        const W octaves = load(a.log_energy + b) + spread - (96 + s.log_step);
        const W scale = clamp((octaves * kStepsPerOctave) >> 5, W{}, number(kMaxScale));
        const W over = most(scale - kLastOctave, W{});
        const W thirds = (over * 171) >> 9;  // over / 3, below 128
        const W narrow = select(scale >= kLastOctave, over - thirds * 3 + kLastOctave, scale);
        const W column = select(narrow < kPhased, narrow * kPhases + load(a.phase + b),
                                narrow + (kPhased * kPhases - kPhased));
        const W which = select(tail >= p.tails[0], number(1), W{}) +
                        select(tail >= p.tails[1], number(1), W{});
        const auto flat = load(a.flat + b) != 0;
        const W table = select(flat, W{}, which * kTablesPerTail + column + 1);
        const W low_bits = select(flat, W{}, thirds);
        const W flip = select(flat, W{}, load(a.flip + b));
        store(a.table + b, table);
        store(a.low_bits + b, low_bits);
        store(a.flip + b, flip);
    }
}

}  // namespace
}  // namespace latrans
