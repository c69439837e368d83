// Values of the lanes of one step, from the stream.
//
// Whether the stream has ended is asked once a step: words beyond it may be looked at.
#pragma once
#include "transform/sizes.h"

namespace latrans {
namespace {
namespace transform_kernel {

// One step's lanes, first to last.
struct Step {
    int first, last;
    alignas(64) int32_t classes[kTransformLanes];
    alignas(64) int16_t leans[kTransformLanes];
    alignas(64) int32_t values[kTransformLanes];  // zeros outside of first to last
};

class Popper {
public:
    explicit Popper(const TransformReading &job) : job_(job), stream_(*job.stream) {
        for (int i = 0; i < kTransformLanes; ++i)
            which_[i] = static_cast<uint8_t>(i % stream_.n_states);
    }

    // Values of a step: all tokens, then escapes, then signs and raw bits.  False where the stream
    // ends before them.
    bool pop(Step &step) {
        for (int i = 0; i < kTransformLanes; ++i) step.values[i] = 0;
#if defined(LATRANS_AVX512)
        if (stream_.n_states == kTransformLanes) {
            pop_vector(step);
            return stream_.at <= stream_.end;
        }
#endif
        uint32_t token[kTransformLanes];
        for (int i = step.first; i <= step.last; ++i) token[i] = pop_token(i, step.classes[i]);
        pop_rest(step, token);
        return stream_.at <= stream_.end;
    }

private:
    // States never fall below kLow: one word brings back any state that was legal before.
    void renew(int lane, uint32_t state) {
        const bool low = state < kLow;
        stream_.states[which_[lane]] = low ? state << 16 | *stream_.at : state;
        stream_.at += low;
    }

    uint32_t pop_token(int lane, int32_t table) {
        const uint32_t state = stream_.states[which_[lane]], slot = state & (kProbabilities - 1);
        const uint32_t token = job_.slots[static_cast<uint32_t>(table) * kProbabilities + slot];
        const Interval found = job_.intervals[table * (kBandTokens + 1) + static_cast<int>(token)];
        renew(lane, found.frequency * (state >> kProbabilityBits) + slot - found.start);
        return token;
    }
    uint32_t pop_raw(int lane, int bits) {
        const uint32_t state = stream_.states[which_[lane]];
        renew(lane, state >> bits);
        return state & ((1u << bits) - 1);
    }
    bool pop_second(int lane, uint32_t frequency) {
        const uint32_t state = stream_.states[which_[lane]], slot = state & (kProbabilities - 1);
        const bool second = slot >= frequency;
        const uint32_t start = second ? frequency : 0;
        const uint32_t size = second ? kProbabilities - frequency : frequency;
        renew(lane, size * (state >> kProbabilityBits) + slot - start);
        return second;
    }

    // What follows the tokens.
    void pop_rest(Step &step, uint32_t *token) {
        uint32_t raw[kTransformLanes] = {};
        bool minus[kTransformLanes];
        for (int i = step.first; i <= step.last; ++i)
            if (token[i] == kBandEscape) token[i] = least<uint32_t>(pop_raw(i, 8), kBandTokens - 1);
        const auto n_raw = [token](int i) {
            return token[i] >= kBandDirect ? static_cast<int>(token[i] - kBandDirect) / 2 + 3 : 0;
        };
        for (int i = step.first; i <= step.last; ++i) {
            if (!token[i]) continue;
            const int lean = step.leans[i];
            const int bucket = least((lean < 0 ? -lean : lean) >> 2, kSignBuckets - 1);
            const int size = least(static_cast<int>(token[i]), kSignSizes) - 1;
            minus[i] = (lean < 0) != pop_second(i, job_.signs[bucket * kSignSizes + size]);
            if (n_raw(i)) raw[i] = pop_raw(i, least(n_raw(i), 16));
        }
        for (int i = step.first; i <= step.last; ++i) {
            if (!token[i]) continue;
            if (n_raw(i) > 16) raw[i] |= pop_raw(i, n_raw(i) - 16) << 16;
            auto magnitude = static_cast<int32_t>(token[i]);
            if (token[i] >= kBandDirect) {
                const uint32_t code = token[i] - kBandDirect, exponent = code / 2 + 4;
                magnitude = static_cast<int32_t>(1u << exponent | (code & 1) << (exponent - 1) |
                                                 raw[i]);
            }
            step.values[i] = minus[i] ? -magnitude : magnitude;
        }
    }

#if defined(LATRANS_AVX512)
    // One state per lane, all at once.
    void pop_vector(Step &step) {
        const __m512i mask = _mm512_set1_epi32(kProbabilities - 1);
        const auto active = static_cast<__mmask16>((2u << step.last) - (1u << step.first));
        const __m512i classes = _mm512_load_si512(step.classes);
        __m512i state = _mm512_loadu_si512(stream_.states);
        __m512i slot = _mm512_and_si512(state, mask);
        __m512i token = _mm512_i32gather_epi32(
            _mm512_or_si512(_mm512_slli_epi32(classes, kProbabilityBits), slot), job_.slots, 1);
        token = _mm512_maskz_and_epi32(active, token, _mm512_set1_epi32(255));
        const __m512i row = _mm512_mullo_epi32(classes, _mm512_set1_epi32(kBandTokens + 1));
        const __m512i found =
            _mm512_i32gather_epi32(_mm512_add_epi32(row, token), job_.intervals, 4);
        const __m512i start = _mm512_and_si512(found, _mm512_set1_epi32(0xFFFF));
        __m512i next = _mm512_mullo_epi32(_mm512_srli_epi32(found, 16),
                                          _mm512_srli_epi32(state, kProbabilityBits));
        next = _mm512_add_epi32(next, _mm512_sub_epi32(slot, start));
        state = renewed(_mm512_mask_mov_epi32(state, active, next), active);
        const __mmask16 some = _mm512_test_epi32_mask(token, token);
        if (!some) {
            _mm512_storeu_si512(stream_.states, state);
            return;
        }
        if (_mm512_cmpge_epi32_mask(token, _mm512_set1_epi32(kBandDirect))) {
            uint32_t tokens[kTransformLanes];
            _mm512_storeu_si512(stream_.states, state);
            _mm512_storeu_si512(tokens, token);
            pop_rest(step, tokens);
            return;
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
        slot = _mm512_and_si512(state, mask);
        const __mmask16 second = _mm512_cmpge_epi32_mask(slot, frequency);
        slot = _mm512_mask_sub_epi32(slot, second, slot, frequency);
        frequency = _mm512_mask_sub_epi32(frequency, second, _mm512_set1_epi32(kProbabilities),
                                          frequency);
        next = _mm512_mullo_epi32(frequency, _mm512_srli_epi32(state, kProbabilityBits));
        next = _mm512_add_epi32(next, slot);
        state = renewed(_mm512_mask_mov_epi32(state, some, next), some);
        _mm512_storeu_si512(stream_.states, state);
        const auto minus = static_cast<__mmask16>(second ^ _mm512_movepi32_mask(lean));
        _mm512_store_si512(step.values,
                           _mm512_mask_sub_epi32(token, minus, _mm512_setzero_si512(), token));
    }
    // States of `those` below kLow take the next words, the lowest lane first.
    __m512i renewed(__m512i state, __mmask16 those) {
        const __mmask16 low =
            _mm512_mask_cmplt_epu32_mask(those, state, _mm512_set1_epi32(kLow));
        const __m512i words = _mm512_cvtepu16_epi32(_mm256_loadu_si256(
            reinterpret_cast<const __m256i *>(stream_.at)));
        stream_.at += __builtin_popcount(low);
        return _mm512_mask_or_epi32(state, low, _mm512_slli_epi32(state, 16),
                                    _mm512_maskz_expand_epi32(low, words));
    }
#endif

    const TransformReading &job_;
    Stream &stream_;
    uint8_t which_[kTransformLanes];
};

}  // namespace transform_kernel
}  // namespace
}  // namespace latrans
