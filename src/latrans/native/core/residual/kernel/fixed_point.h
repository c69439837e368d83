// Logarithm and ratio by table, on vectors: the twin of coding/fixed_point.py.
#pragma once
#include "residual/kernel/step.h"
#include "simd.h"

namespace latrans {
namespace {

// Same width, floating: its exponent and mantissa bits are those of the logarithm.
template <class T>
struct Real;
template <>
struct Real<int32_t> {
    using real = float;
    static constexpr int mantissa = 23, bias = 127;
};
template <>
struct Real<int64_t> {
    using real = double;
    static constexpr int mantissa = 52, bias = 1023;
};

template <class T>
V<T> saturate(V<T> v) {
    return clamp(v, number<T>(-127), number<T>(127));
}

// value = 2^exponent * (1 + (step + something below 1) / 64), for value >= 1 (int64: below 2^53),
// as (exponent + bias) * 64 + step.
template <class T>
V<T> log_key(V<Unsigned<T>> value) {
    using R = Real<T>;
#if defined(LATRANS_AVX512)
    if constexpr (sizeof(T) == 4)
        return bits<V<T>>(_mm512_srli_epi32(
            _mm512_castps_si512(_mm512_cvt_roundepu32_ps(
                bits<__m512i>(value), _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC)),
            R::mantissa - 6));
#endif
    V<T> extra = V<T>{};
    if constexpr (sizeof(T) == 4) {
        // A float holds 24 bits; the low 8 of larger values matter neither way.
        const auto large = value >= (UINT32_C(1) << 24);
        extra = select(large, number<T>(8 * 64), number<T>(0));
        value = select(large, value >> 8, value);
    }
    const auto real = convert<typename R::real, width<T>>(bits<V<T>>(value));
    return (bits<V<T>>(real) >> (R::mantissa - 6)) + extra;
}

// Logarithms are taken kLogBias<T> too large, which their differences do not show.
template <class T>
constexpr T kLogBias = 32 * Real<T>::bias;

// key >> 1 is the logarithm of a line through the octave's ends, whose error is looked up.
template <class T>
V<T> log_of_key(const Plan &plan, V<T> key) {
#if defined(LATRANS_AVX512)
    const __m512i found = _mm512_maskz_permutexvar_epi8(
        sizeof(T) == 4 ? 0x1111111111111111 : 0x0101010101010101, bits<__m512i>(key),
        _mm512_load_si512(plan.log_errors));
    return (key >> 1) + bits<V<T>>(found);
#else
    return (key >> 1) + look_up<T>(plan.log_errors32, key);
#endif
}
template <class T>
V<T> log2(const Plan &plan, V<Unsigned<T>> value) {
    return log_of_key<T>(plan, log_key<T>(value));
}
template <class T>
V<T> log2_of(const Plan &plan, V<T> value) {
    return log2<T>(plan, bits<V<Unsigned<T>>>(value));
}

// A unit that values are measured in.
//
// With e = flog2(unit) and d = max(e - 12, 0) a ratio is ((v >> d) * r + half) >> (10 + e - d),
// half of what is dropped added; r * 2^d * 2^(12 - e) with a shift by 22 is the same.
template <class T>
struct Unit {
    V<T> log, limit, drop, reciprocal;

    Unit(const Plan &plan, V<T> unit) {
        const V<T> key = log_key<T>(bits<V<Unsigned<T>>>(unit));
        log = log_of_key<T>(plan, key);
        const V<T> e = (key >> 6) - Real<T>::bias;
        limit = unit * 8;
        drop = most(e - 12, number<T>(0));
        reciprocal = look_up<T>(plan.reciprocals, key) << (drop - e + 12);
    }

    // Not yet limited to +-127.  The product is below 2^30.
    V<T> ratio(V<T> value) const {
        value = clamp(value, -limit, limit);
        return ((value >> drop) * reciprocal + (1 << 21)) >> 22;
    }
};

#if defined(LATRANS_AVX512)
// The same in floats.  (v >> d) and r fit 24 bits where the ratio is within +-127; a fused
// multiply-add and a conversion that both round down then leave exactly the floor.  Larger values
// only have to stay large, for ratios never fall as v grows, so v needs no limit: at 8 units the
// ratio is 127 or more.  What goes in is below 2^29 and units are 5 or more, so that results fit.
template <>
struct Unit<int32_t> {
    V<int32_t> log, drop;
    __m512 factor;  // r * 2^-(10 + e - d)

    Unit(const Plan &plan, V<int32_t> unit) {
        const V<int32_t> key = log_key<int32_t>(bits<V<uint32_t>>(unit));
        log = log_of_key<int32_t>(plan, key);
        const __m512i k = bits<__m512i>(key);
        drop = most(key >> 6, number(127 + 12)) - (127 + 12);
        const __m512i low = _mm512_permutex2var_epi32(
            _mm512_load_si512(plan.reciprocal_reals), k,
            _mm512_load_si512(plan.reciprocal_reals + 16));
        const __m512i high = _mm512_permutex2var_epi32(
            _mm512_load_si512(plan.reciprocal_reals + 32), k,
            _mm512_load_si512(plan.reciprocal_reals + 48));
        const __m512i r = _mm512_mask_mov_epi32(
            low, _mm512_test_epi32_mask(k, _mm512_set1_epi32(32)), high);
        // Exponents: of the table (r * 2^-10), less e, more d.
        const V<int32_t> down = (key >> 6) - drop - 127;
        factor = _mm512_castsi512_ps(
            _mm512_sub_epi32(r, _mm512_slli_epi32(bits<__m512i>(down), 23)));
    }

    static V<int32_t> floor_of_product(V<int32_t> value, __m512 factor) {
        constexpr int kDown = _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC;
        const __m512 x = _mm512_cvtepi32_ps(bits<__m512i>(value));
        return bits<V<int32_t>>(_mm512_cvt_roundps_epi32(
            _mm512_fmadd_round_ps(x, factor, _mm512_set1_ps(0.5f), kDown), kDown));
    }
    V<int32_t> ratio(V<int32_t> value) const { return floor_of_product(value >> drop, factor); }
};

#endif

// A unit that also measures values without fraction bits.
template <class T>
struct WholeUnit : Unit<T> {
    WholeUnit(const Plan &plan, V<T> unit) : Unit<T>(plan, unit) {}
    V<T> ratio_of_whole(V<T> value) const { return this->ratio(value << 8); }
};

#if defined(LATRANS_AVX512)
template <>
struct WholeUnit<int32_t> : Unit<int32_t> {
    // v * 256 >> d is v >> (d - 8), or v * 2^(8 - d) exactly.
    V<int32_t> whole_drop;
    __m512 whole_factor;  // factor * 2^(8 - d), or factor where d > 8

    WholeUnit(const Plan &plan, V<int32_t> unit) : Unit(plan, unit) {
        whole_drop = most(drop, number(8)) - 8;
        whole_factor = _mm512_castsi512_ps(_mm512_add_epi32(
            _mm512_castps_si512(factor), bits<__m512i>((whole_drop - drop + 8) << 23)));
    }
    V<int32_t> ratio_of_whole(V<int32_t> value) const {
        return floor_of_product(value >> whole_drop, whole_factor);
    }
};
#endif

}  // namespace
}  // namespace latrans
