// From the network's outputs to centres and classes: the twin of `place` in residual/classes.py.
#pragma once
#include "residual_classes.h"
#include "residual_simd.h"
#include "residual_step.h"

namespace latrans {
namespace {

// Centres, and the parts of the class that need the carrier, of one vector of lanes.
template <class T>
void place(const Scene<T> &s, int b, const int32_t *outputs, Answer<T> &a) {
    V<T> shift = V<T>{}, expected = load(a.level + b) * 256;
    if (outputs) {
        const V<T> answer = clamp(convert<T, width<T>>(load32<T>(outputs + b)),
                                  number<T>(-kMeanLimit), number<T>(kMeanLimit));
        const auto flat = convert<T, width<T>>(load32<T>(a.flat + b)) != 0;
        const V<T> unit = load(a.energy + b);
        // (energy * answer) >> 6, in parts that stay in range [B].
        shift = (unit >> 6) * answer + (((unit & 63) * answer) >> 6);
        shift = select(flat, V<T>{}, shift);
        expected = select(flat, expected, load(a.prediction + b));
    }
    const V<T> mean = clamp(expected + shift, V<T>{}, number<T>(s.largest * 256));
    const V<T> centre = (mean + 128) >> 8;
    const V<T> fraction = mean - centre * 256;
    store(a.centre + b, centre);
    store32<T>(a.flip + b, select(fraction < 0, number<T>(1), V<T>{}));
    store32<T>(a.phase + b, least(magnitude(fraction) >> 5, number<T>(kPhases - 1)));
}

// The rest of the class; `outputs` is null where every lane is flat.
template <class T>
void choose_table(const Plan &p, const int32_t *outputs, Answer<T> &a) {
    using W = V<int32_t>;
    constexpr int kLastOctave = kScales - kStepsPerOctave;
    for (int b = 0; b < kLanes; b += width<int32_t>) {
        W table = W{}, low_bits = W{}, flip = W{};
        if (outputs) {
            const W spread = clamp(load(outputs + kLanes + b), number(-kScaleLimit),
                                   number(kScaleLimit));
            const W tail = clamp(load(outputs + 2 * kLanes + b), number(-kTailLimit),
                                 number(kTailLimit));
            const W octaves = load(a.log_energy + b) + spread - 96;
            const W scale = clamp((octaves * kStepsPerOctave) >> 5, W{}, number(kMaxScale));
            const W over = most(scale - kLastOctave, W{});
            const W thirds = (over * 171) >> 9;  // over / 3, below 128
            const W narrow =
                select(scale >= kLastOctave, over - thirds * 3 + kLastOctave, scale);
            const W column = select(narrow < kPhased, narrow * kPhases + load(a.phase + b),
                                    narrow + (kPhased * kPhases - kPhased));
            const W which = select(tail >= p.tails[0], number(1), W{}) +
                            select(tail >= p.tails[1], number(1), W{});
            const auto flat = load(a.flat + b) != 0;
            table = select(flat, W{}, which * kTablesPerTail + column + 1);
            low_bits = select(flat, W{}, thirds);
            flip = select(flat, W{}, load(a.flip + b));
        }
        store(a.table + b, table);
        store(a.low_bits + b, low_bits);
        store(a.flip + b, flip);
    }
}

}  // namespace
}  // namespace latrans
