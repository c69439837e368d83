// Rows of magnitudes as network inputs: `size` and relative logarithms of transform/contexts.py.
#pragma once
#include "simd.h"
#include "transform/job.h"

namespace latrans {
namespace {
namespace transform_kernel {

constexpr int32_t kLargest = 2047;  // magnitudes above say no more than this one

// to[i] = size(q[i]); n is a multiple of 32.
inline void sizes(const TransformLogs &logs, const uint16_t *q, uint8_t *to, size_t n) {
#if defined(LATRANS_AVX512)
    const __m512i small0 = _mm512_load_si512(logs.small);
    const __m512i small1 = _mm512_load_si512(logs.small + 32);
    const __m512i steps0 = _mm512_load_si512(logs.steps);
    const __m512i steps1 = _mm512_load_si512(logs.steps + 32);
    const __m512i one = _mm512_set1_epi16(1);
    for (size_t i = 0; i < n; i += 32) {
        __m512i v = _mm512_min_epu16(_mm512_loadu_si512(q + i), _mm512_set1_epi16(1023));
        v = _mm512_add_epi16(v, _mm512_set1_epi16(4));
        __m512i found = _mm512_permutex2var_epi16(small0, v, small1);
        const __mmask32 large = _mm512_cmpge_epu16_mask(v, _mm512_set1_epi16(64));
        if (large) {
            __m512i e = _mm512_setzero_si512();
            for (int bit = 7; bit <= 10; ++bit)
                e = _mm512_mask_add_epi16(
                    e, _mm512_cmpge_epu16_mask(v, _mm512_set1_epi16(static_cast<short>(1 << bit))),
                    e, one);
            const __m512i step = _mm512_permutex2var_epi16(steps0, _mm512_srlv_epi16(v, e), steps1);
            const __m512i all = _mm512_add_epi16(_mm512_add_epi16(step, _mm512_set1_epi16(64)),
                                                 _mm512_slli_epi16(e, 4));
            found = _mm512_mask_min_epu16(found, large, all, _mm512_set1_epi16(127));
        }
        _mm256_storeu_si256(reinterpret_cast<__m256i *>(to + i), _mm512_cvtepi16_epi8(found));
    }
#else
    for (size_t i = 0; i < n; ++i) to[i] = logs.sizes[least<uint16_t>(q[i], 1023)];
#endif
}

// Bytes of four rows side by side, 128 added to each; n is rounded up to a multiple of 16.
inline void quads(const uint8_t *a, const uint8_t *b, const uint8_t *c, const uint8_t *d,
                  uint32_t *to, size_t n) {
    for (size_t i = 0; i < n; i += 16) {
#if defined(__SSE2__) && !defined(LATRANS_SCALAR)
        const auto load = [i](const uint8_t *row) {
            return _mm_loadu_si128(reinterpret_cast<const __m128i *>(row + i));
        };
        const __m128i offset = _mm_set1_epi8(-128);
        const __m128i low = _mm_xor_si128(_mm_unpacklo_epi8(load(a), load(b)), offset);
        const __m128i high = _mm_xor_si128(_mm_unpackhi_epi8(load(a), load(b)), offset);
        const __m128i low2 = _mm_xor_si128(_mm_unpacklo_epi8(load(c), load(d)), offset);
        const __m128i high2 = _mm_xor_si128(_mm_unpackhi_epi8(load(c), load(d)), offset);
        const __m128i out[4] = {_mm_unpacklo_epi16(low, low2), _mm_unpackhi_epi16(low, low2),
                                _mm_unpacklo_epi16(high, high2), _mm_unpackhi_epi16(high, high2)};
        for (int k = 0; k < 4; ++k)
            _mm_storeu_si128(reinterpret_cast<__m128i *>(to + i + 4 * k), out[k]);
#else
        for (size_t k = i; k < i + 16; ++k)
            to[k] = (a[k] | uint32_t{b[k]} << 8 | uint32_t{c[k]} << 16 | uint32_t{d[k]} << 24) ^
                    0x80808080u;
#endif
    }
}

inline int64_t log2_of(const TransformLogs &logs, uint64_t v) {
#if defined(__GNUC__)
    const int e = 63 - __builtin_clzll(v);
#else
    int e = 0;
    for (uint64_t rest = v; rest >>= 1;) ++e;
#endif
    return 32 * e + logs.logs[(e < 6 ? v << (6 - e) : v >> (e - 6)) - 64];
}

// to[i] = sat((log(v[i] + step) - log(step)) >> 1); n is a multiple of 16.
template <class T>
void relative(const TransformLogs &logs, const T *v, T step, uint8_t *to, size_t n) {
    const auto unit = static_cast<int32_t>(log2_of(logs, static_cast<uint64_t>(step)));
#if defined(LATRANS_AVX512)
    if constexpr (sizeof(T) == 4) {
        const __m512i first = _mm512_load_si512(logs.words);
        const __m512i second = _mm512_load_si512(logs.words + 32);
        for (size_t i = 0; i < n; i += 16) {
            const __m512i sum =
                _mm512_add_epi32(_mm512_loadu_si512(v + i), _mm512_set1_epi32(step));
            const __m512i zeros = _mm512_lzcnt_epi32(sum);
            __m512i at = _mm512_srli_epi32(_mm512_sllv_epi32(sum, zeros), 25);
            at = _mm512_and_si512(at, _mm512_set1_epi32(63));
            // The upper words look up entry 0, which is 0.
            const __m512i part = _mm512_permutex2var_epi16(first, at, second);
            __m512i log = _mm512_sub_epi32(_mm512_set1_epi32(32 * 31 - unit),
                                           _mm512_slli_epi32(zeros, 5));
            log = _mm512_srai_epi32(_mm512_add_epi32(log, part), 1);
            log = _mm512_min_epi32(log, _mm512_set1_epi32(127));
            _mm_storeu_si128(reinterpret_cast<__m128i *>(to + i), _mm512_cvtepi32_epi8(log));
        }
        return;
    }
#endif
    for (size_t i = 0; i < n; ++i) {
        const auto sum = static_cast<uint64_t>(v[i]) + static_cast<uint64_t>(step);
        const auto log = static_cast<int32_t>(log2_of(logs, sum));
        to[i] = static_cast<uint8_t>(least((log - unit) >> 1, 127));
    }
}

}  // namespace transform_kernel
}  // namespace
}  // namespace latrans
