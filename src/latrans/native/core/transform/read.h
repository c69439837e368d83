// Reading a band: a strip of sixteen rows as a wavefront, its values in skewed rows of lanes.
#pragma once
#include "transform/dense.h"
#include "transform/inputs.h"
#include "transform/pop.h"

namespace latrans {
namespace {
namespace transform_kernel {

// Lanes of one step, the two rows above the strip before them.
constexpr int kAbove = 2, kStride = 32;
constexpr int kHistory = 16;  // steps of zeros before the first

// One value per lane: where neighbour k of a lane is, in rows of kStride.
constexpr int kBack[10] = {1, 4, 5, 3, 2, 8, 6, 2, 9, 7};
constexpr int kUpwards[10] = {0, 1, 1, 1, 0, 2, 1, 1, 2, 2};

inline const int16_t *neighbour(const int16_t *here, int k) {
    return here - kBack[k] * kStride + kAbove - kUpwards[k];
}

inline void causal_inputs(const TransformLogs &logs, const int16_t *here, uint32_t *to) {
    alignas(64) uint16_t q[kCausalInputs][kTransformLanes];
    alignas(64) uint8_t bytes[kCausalInputs][kTransformLanes];
    const int16_t *m[10];
    for (int k = 0; k < 10; ++k) m[k] = neighbour(here, k);
    for (int k = 0; k < 6; ++k)
        for (int i = 0; i < kTransformLanes; ++i) q[k][i] = static_cast<uint16_t>(4 * m[k][i]);
    for (int i = 0; i < kTransformLanes; ++i) {
        const int near = m[0][i] + m[1][i], aside = m[2][i] + m[3][i];
        q[6][i] = static_cast<uint16_t>(2 * near + aside);
        q[7][i] = static_cast<uint16_t>(near + aside + m[4][i] + m[5][i] + m[6][i] + m[7][i] +
                                        m[8][i] + m[9][i]);
    }
    sizes(logs, q[0], bytes[0], kCausalInputs * kTransformLanes);
    for (int g = 0; g < kCausalQuads; ++g)
        quads(bytes[4 * g], bytes[4 * g + 1], bytes[4 * g + 2], bytes[4 * g + 3],
              to + g * kTransformLanes, kTransformLanes);
}

// Every lane's dword of a row of inputs, `stride` apart.
inline void gathered(const uint32_t *from, ptrdiff_t stride, uint32_t *to) {
#if defined(LATRANS_AVX512)
    const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i at = _mm512_mullo_epi32(lanes, _mm512_set1_epi32(static_cast<int>(stride)));
    _mm512_store_si512(to, _mm512_i32gather_epi32(at, from, 4));
#else
    for (int i = 0; i < kTransformLanes; ++i) to[i] = from[i * stride];
#endif
}

// Sums of the neighbours' values, which are at most 3.
inline void leans_of(const int16_t *weights, const int16_t *here, int16_t *to) {
    int16_t sum[kTransformLanes] = {};
    for (int k = 0; k < kSignNeighbours; ++k) {
        const int16_t *v = neighbour(here, k);
        for (int i = 0; i < kTransformLanes; ++i)
            sum[i] = static_cast<int16_t>(sum[i] + weights[k] * v[i]);
    }
    for (int i = 0; i < kTransformLanes; ++i) to[i] = sum[i];
}

// The strip's last two rows, skewed, become those above the next strip.
inline void hand_down(int16_t *history, size_t columns) {
    int16_t *from = history + kHistory * kStride;
    for (size_t x = 0; x < columns; ++x) {
        const int16_t upper = from[(x + 14 * kTransformLag) * kStride + kAbove + 14];
        const int16_t lower = from[(x + 15 * kTransformLag) * kStride + kAbove + 15];
        // Lane -2 of a step is eight columns ahead of lane 0, lane -1 four.
        int16_t *at = from + static_cast<ptrdiff_t>(x) * kStride;
        at[-8 * kStride] = upper;
        at[-4 * kStride + 1] = lower;
    }
}

// Writes what is not 0 to its places: lane 0 at `at`, the others `stride` apart.
inline void keep(const Step &step, const TransformReading &job, size_t at, size_t stride) {
#if defined(LATRANS_AVX512)
    const __m512i values = _mm512_load_si512(step.values);
    for (unsigned some = _mm512_test_epi32_mask(values, values); some; some &= some - 1) {
        const auto i = static_cast<size_t>(__builtin_ctz(some));
#else
    for (size_t i = 0; i < kTransformLanes; ++i) {
        if (!step.values[i]) continue;
#endif
        // Modulo 2^64 where a band has fewer columns than the lag.
        job.values[at + i * stride] = step.values[i];
        job.classes[at + i * stride] = static_cast<uint8_t>(step.classes[i]);
    }
}

void read_band(const TransformReading &job, TransformArena &arena) {
    const TransformBand &band = job.band;
    const size_t rows = band.rows, columns = band.columns;
    Inputs inputs(band, arena);
    const size_t stride = padded(columns) + 2 * kPad;
    uint32_t *known[kPlaceQuads];  // (lanes, stride) each
    for (auto &quad : known)
        quad = static_cast<uint32_t *>(arena.take(kTransformLanes * stride * sizeof(uint32_t)));
    const size_t n_steps = columns + kTransformLag * (kTransformLanes - 1);
    const size_t n_history = (n_steps + 2 * kHistory) * kStride;
    auto *sizes_before = static_cast<int16_t *>(arena.take(n_history * sizeof(int16_t)));
    auto *signs_before = static_cast<int16_t *>(arena.take(n_history * sizeof(int16_t)));
    int32_t *plain[2] = {nullptr, nullptr};
    if (widest(*band.network))
        for (auto &row : plain)
            row = static_cast<int32_t *>(
                arena.take(static_cast<size_t>(widest(*band.network)) * kTransformLanes * 4));
    Popper popper(job);
    Step step;
    for (size_t top = 0; top < rows; top += kTransformLanes) {
        const size_t height = least<size_t>(kTransformLanes, rows - top);
        for (size_t lane = 0; lane < height; ++lane) {
            uint32_t *to[kPlaceQuads];
            for (int g = 0; g < kPlaceQuads; ++g) to[g] = known[g] + lane * stride + kPad;
            inputs.row(top + lane, to);
        }
        const size_t end = columns + kTransformLag * (height - 1);
        for (size_t t = 0; t < end; ++t) {
            // Lanes whose column exists: x = t - kTransformLag * lane.
            step.first = static_cast<int>(t < columns ? 0 : (t - columns) / kTransformLag + 1);
            step.last = static_cast<int>(least(height - 1, t / kTransformLag));
            int16_t *size = sizes_before + (kHistory + t) * kStride;
            int16_t *sign = signs_before + (kHistory + t) * kStride;
            if (step.first <= step.last) {
                alignas(64) uint32_t x[kQuads * kTransformLanes];
                for (int g = 0; g < kPlaceQuads; ++g)
                    gathered(known[g] + kPad + t, static_cast<ptrdiff_t>(stride) - kTransformLag,
                             x + g * kTransformLanes);
                causal_inputs(*band.logs, size, x + kPlaceQuads * kTransformLanes);
                leans_of(job.sign_weights, sign, step.leans);
                classes_of(band, x, plain, step.classes);
                if (!popper.pop(step)) return;
            } else {
                for (int i = 0; i < kTransformLanes; ++i) step.values[i] = 0;
            }
            for (int i = 0; i < kTransformLanes; ++i) {
                const int32_t v = step.values[i], m = v < 0 ? -v : v;
                size[kAbove + i] = static_cast<int16_t>(least(m, kLargest));
                sign[kAbove + i] = static_cast<int16_t>(most(-3, least(v, 3)));
            }
            keep(step, job, (top * columns + t), columns - kTransformLag);
        }
        hand_down(sizes_before, columns);
        hand_down(signs_before, columns);
    }
}

}  // namespace transform_kernel
}  // namespace
}  // namespace latrans
