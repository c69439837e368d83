// Values of the lanes of one step, from the stream.
#pragma once
#include "transform_sizes.h"

namespace latrans {
namespace {

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

}  // namespace
}  // namespace latrans
