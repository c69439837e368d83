// Logarithm and ratio by table, on vectors: the twin of residual/fixed.py.
#pragma once
#include "residual_simd.h"
#include "residual_step.h"

namespace latrans {
namespace {

// Same width, floating: its exponent and mantissa bits are those of the logarithm.
template <class T>
struct Real;
template <>
struct Real<int32_t> {
    using real = float;
    using unsigned_ = uint32_t;
    static constexpr int mantissa = 23, bias = 127;
};
template <>
struct Real<int64_t> {
    using real = double;
    using unsigned_ = uint64_t;
    static constexpr int mantissa = 52, bias = 1023;
};
template <class T>
using Unsigned = typename Real<T>::unsigned_;

// value = 2^exponent * (1 + (step + something below 1) / 64), for value >= 1 (int64: below 2^53).
template <class T>
void split(V<Unsigned<T>> value, V<T> &exponent, V<T> &step) {
    using R = Real<T>;
    V<T> extra = V<T>{};
    if constexpr (sizeof(T) == 4) {
        // A float holds 24 bits; the low 8 of larger values matter neither way.
        const auto large = value >= (UINT32_C(1) << 24);
        extra = select(large, number<T>(8), number<T>(0));
        value = select(large, value >> 8, value);
    }
    const auto real = convert<typename R::real, width<T>>(bits<V<T>>(value));
    const V<T> key = bits<V<T>>(real) >> (R::mantissa - 6);
    exponent = (key >> 6) - R::bias + extra;
    step = key & 63;
}

template <class T>
V<T> log2(const Plan &plan, V<Unsigned<T>> value) {
    V<T> exponent, step;
    split<T>(value, exponent, step);
    return exponent * 32 + look_up<T>(plan.logs, step);
}
template <class T>
V<T> log2_of(const Plan &plan, V<T> value) {
    return log2<T>(plan, bits<V<Unsigned<T>>>(value));
}

template <class T>
V<T> saturate(V<T> v) {
    return clamp(v, number<T>(-127), number<T>(127));
}

// A unit that values are measured in.
template <class T>
struct Unit {
    V<T> log, limit, drop, shift, half, reciprocal;

    Unit(const Plan &plan, V<T> unit) {
        V<T> exponent, step;
        split<T>(bits<V<Unsigned<T>>>(unit), exponent, step);
        log = exponent * 32 + look_up<T>(plan.logs, step);
        reciprocal = look_up<T>(plan.reciprocals, step);
        limit = unit * 8;
        drop = most(exponent - 12, number<T>(0));
        shift = exponent - drop + 10;
        half = number<T>(1) << (shift - 1);
    }

    // The product is below 2^16 * 2^14.
    V<T> ratio(V<T> value) const {
        value = clamp(value, -limit, limit);
        return saturate<T>(((value >> drop) * reciprocal + half) >> shift);
    }
};

}  // namespace
}  // namespace latrans
