// Reading a band: a strip of sixteen rows as a wavefront, its values in skewed rows of lanes.
#pragma once
#include "transform_dense.h"
#include "transform_inputs.h"

namespace latrans {
namespace {

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

// One step's lanes, first to last.
struct Step {
    int first, last;
    alignas(64) int32_t classes[kTransformLanes];
    alignas(64) int16_t leans[kTransformLanes];
    alignas(64) int32_t values[kTransformLanes];  // zeros outside of first to last
};

class Stream {
public:
    Stream(const TransformReading &job) : job_(job), cursor_(*job.cursor) {}

    // Values of a step: all tokens, then escapes, then signs and raw bits.
    bool pop(Step &step) {
        for (int i = 0; i < kTransformLanes; ++i) step.values[i] = 0;
#if defined(LATRANS_AVX512)
        if (job_.n_states == kTransformLanes && cursor_.n_words - cursor_.at >= 32)
            return pop_vector(step);
#endif
        uint32_t token[kTransformLanes];
        for (int i = step.first; i <= step.last; ++i)
            if (!pop_token(i, step.classes[i], token[i])) return false;
        return pop_rest(step, token);
    }

private:
    bool renew(size_t which, uint32_t state) {
        if (state < 1u << 16) {
            if (cursor_.at == cursor_.n_words) return false;
            const uint8_t *word = cursor_.words + 2 * cursor_.at++;
            state = state << 16 | word[0] | static_cast<uint32_t>(word[1]) << 8;
        }
        cursor_.states[which] = state;
        return true;
    }
    size_t which(int lane) const { return static_cast<size_t>(lane) % job_.n_states; }

    bool pop_token(int lane, int32_t table, uint32_t &token) {
        const size_t w = which(lane);
        const uint32_t state = cursor_.states[w], slot = state & 4095;
        token = job_.slots[static_cast<size_t>(table) * 4096 + slot];
        const uint32_t found = job_.intervals[table * (kTokens + 1) + static_cast<int>(token)];
        return renew(w, (found >> 16) * (state >> 12) + slot - (found & 0xFFFF));
    }
    bool pop_raw(int lane, int bits, uint32_t &raw) {
        const size_t w = which(lane);
        const uint32_t state = cursor_.states[w];
        raw = state & ((1u << bits) - 1);
        return renew(w, state >> bits);
    }
    bool pop_second(int lane, uint32_t frequency, bool &second) {
        const size_t w = which(lane);
        const uint32_t state = cursor_.states[w], slot = state & 4095;
        second = slot >= frequency;
        const uint32_t start = second ? frequency : 0;
        return renew(w, (second ? 4096 - frequency : frequency) * (state >> 12) + slot - start);
    }

    // What follows the tokens.
    bool pop_rest(Step &step, uint32_t *token) {
        uint32_t raw[kTransformLanes] = {};
        bool minus[kTransformLanes];
        for (int i = step.first; i <= step.last; ++i)
            if (token[i] == kEscape) {
                if (!pop_raw(i, 8, token[i])) return false;
                token[i] = least<uint32_t>(token[i], kTokens - 1);
            }
        const auto n_raw = [token](int i) {
            return token[i] >= kDirect ? static_cast<int>(token[i] - kDirect) / 2 + 3 : 0;
        };
        for (int i = step.first; i <= step.last; ++i) {
            if (!token[i]) continue;
            const int lean = step.leans[i];
            const int bucket = least((lean < 0 ? -lean : lean) >> 2, kSignBuckets - 1);
            const int size = least(static_cast<int>(token[i]), kSignSizes) - 1;
            bool second;
            if (!pop_second(i, job_.signs[bucket * kSignSizes + size], second)) return false;
            minus[i] = (lean < 0) != second;
            if (n_raw(i) && !pop_raw(i, least(n_raw(i), 16), raw[i])) return false;
        }
        for (int i = step.first; i <= step.last; ++i) {
            if (!token[i]) continue;
            if (n_raw(i) > 16) {
                uint32_t high;
                if (!pop_raw(i, n_raw(i) - 16, high)) return false;
                raw[i] |= high << 16;
            }
            auto magnitude = static_cast<int32_t>(token[i]);
            if (token[i] >= kDirect) {
                const uint32_t code = token[i] - kDirect, exponent = code / 2 + 4;
                magnitude = static_cast<int32_t>(1u << exponent | (code & 1) << (exponent - 1) |
                                                 raw[i]);
            }
            step.values[i] = minus[i] ? -magnitude : magnitude;
        }
        return true;
    }

#if defined(LATRANS_AVX512)
    // One state per lane, all at once.
    bool pop_vector(Step &step) {
        const __m512i low12 = _mm512_set1_epi32(4095);
        const auto active = static_cast<__mmask16>((2u << step.last) - (1u << step.first));
        const __m512i classes = _mm512_load_si512(step.classes);
        __m512i state = _mm512_loadu_si512(cursor_.states);
        __m512i slot = _mm512_and_si512(state, low12);
        __m512i token = _mm512_i32gather_epi32(
            _mm512_or_si512(_mm512_slli_epi32(classes, 12), slot), job_.slots, 1);
        token = _mm512_maskz_and_epi32(active, token, _mm512_set1_epi32(255));
        const __m512i row = _mm512_mullo_epi32(classes, _mm512_set1_epi32(kTokens + 1));
        const __m512i found =
            _mm512_i32gather_epi32(_mm512_add_epi32(row, token), job_.intervals, 4);
        __m512i next = _mm512_mullo_epi32(_mm512_srli_epi32(found, 16), _mm512_srli_epi32(state, 12));
        next = _mm512_add_epi32(next, _mm512_sub_epi32(slot, _mm512_and_si512(
                                                                 found, _mm512_set1_epi32(0xFFFF))));
        state = renewed(_mm512_mask_mov_epi32(state, active, next), active);
        const __mmask16 some = _mm512_test_epi32_mask(token, token);
        if (!some) {
            _mm512_storeu_si512(cursor_.states, state);
            return true;
        }
        if (_mm512_cmpge_epi32_mask(token, _mm512_set1_epi32(kDirect))) {
            uint32_t tokens[kTransformLanes];
            _mm512_storeu_si512(cursor_.states, state);
            _mm512_storeu_si512(tokens, token);
            return pop_rest(step, tokens);
        }
        const __m512i lean = _mm512_cvtepi16_epi32(
            _mm256_load_si256(reinterpret_cast<const __m256i *>(step.leans)));
        const __m512i bucket = _mm512_min_epi32(_mm512_srli_epi32(_mm512_abs_epi32(lean), 2),
                                                _mm512_set1_epi32(kSignBuckets - 1));
        const __m512i size = _mm512_min_epi32(token, _mm512_set1_epi32(kSignSizes));
        const __m512i table = _mm512_add_epi32(
            _mm512_add_epi32(bucket, _mm512_slli_epi32(bucket, 1)),
            _mm512_sub_epi32(size, _mm512_set1_epi32(1)));
        // Only the lower words matter.
        __m512i frequency = _mm512_permutexvar_epi16(table, _mm512_loadu_si512(job_.signs));
        frequency = _mm512_and_si512(frequency, _mm512_set1_epi32(0xFFFF));
        slot = _mm512_and_si512(state, low12);
        const __mmask16 second = _mm512_cmpge_epi32_mask(slot, frequency);
        slot = _mm512_mask_sub_epi32(slot, second, slot, frequency);
        frequency = _mm512_mask_sub_epi32(frequency, second, _mm512_set1_epi32(4096), frequency);
        next = _mm512_add_epi32(_mm512_mullo_epi32(frequency, _mm512_srli_epi32(state, 12)), slot);
        state = renewed(_mm512_mask_mov_epi32(state, some, next), some);
        _mm512_storeu_si512(cursor_.states, state);
        const auto minus = static_cast<__mmask16>(second ^ _mm512_movepi32_mask(lean));
        _mm512_store_si512(step.values,
                           _mm512_mask_sub_epi32(token, minus, _mm512_setzero_si512(), token));
        return true;
    }
    // States of `those` below 2^16 take the next words, the lowest lane first.
    __m512i renewed(__m512i state, __mmask16 those) {
        const __mmask16 low =
            _mm512_mask_cmplt_epu32_mask(those, state, _mm512_set1_epi32(1 << 16));
        const __m512i words = _mm512_cvtepu16_epi32(_mm256_loadu_si256(
            reinterpret_cast<const __m256i *>(cursor_.words + 2 * cursor_.at)));
        cursor_.at += static_cast<size_t>(__builtin_popcount(low));
        return _mm512_mask_or_epi32(state, low, _mm512_slli_epi32(state, 16),
                                    _mm512_maskz_expand_epi32(low, words));
    }
#endif

    const TransformReading &job_;
    TransformCursor &cursor_;
};

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

bool read_band(const TransformReading &job, TransformArena &arena) {
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
    Stream stream(job);
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
                if (!stream.pop(step)) return false;
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
    return true;
}

}  // namespace
}  // namespace latrans
