// The transform's kernel for one instruction set: lifting steps of a line (transform/lifting.py), how
// wide a plane has to be, and the rest by name.
#pragma once
#include "transform/classify.h"
#include "transform/predict.h"
#include "transform/read.h"

namespace latrans {
namespace {
namespace transform_kernel {

// (k v + 8192) >> 14 with k below 2^15: by halves, so that 32 bits do for what fits them.
inline uint32_t lifted(uint32_t v, int32_t k) {
    const auto factor = static_cast<uint32_t>(k);
    const auto high = static_cast<uint32_t>(static_cast<int32_t>(v) >> 14);
    const auto low = static_cast<int32_t>(factor * (v & 16383) + 8192) >> 14;
    return factor * high + static_cast<uint32_t>(low);
}
inline uint64_t lifted(uint64_t v, int32_t k) {
    const uint64_t product = static_cast<uint64_t>(int64_t{k}) * v + 8192;
    return static_cast<uint64_t>(static_cast<int64_t>(product) >> 14);
}

template <class T, class U>
void lift(T *to, const T *a, const T *b, size_t n, int32_t k, bool undo) {
    if (undo) {
        for (size_t i = 0; i < n; ++i)
            to[i] = static_cast<T>(static_cast<U>(to[i]) -
                                   lifted(static_cast<U>(a[i]) + static_cast<U>(b[i]), k));
    } else {
        for (size_t i = 0; i < n; ++i)
            to[i] = static_cast<T>(static_cast<U>(to[i]) +
                                   lifted(static_cast<U>(a[i]) + static_cast<U>(b[i]), k));
    }
}

// The largest magnitude.
template <class T>
int64_t largest(const T *values, size_t n) {
    T low = 0, high = 0;
    for (size_t i = 0; i < n; ++i) {
        low = values[i] < low ? values[i] : low;
        high = values[i] > high ? values[i] : high;
    }
    const int64_t below = low < -INT64_MAX ? INT64_MAX : -int64_t{low};
    return below > high ? below : int64_t{high};
}

constexpr TransformKernel kTable{&read_band,
                                     &place_inputs,
                                     &classify_band,
                                     &predict_band,
                                     &largest<int32_t>,
                                     &largest<int64_t>,
                                     &lift<int32_t, uint32_t>,
                                     &lift<int64_t, uint64_t>};

}  // namespace transform_kernel
}  // namespace
}  // namespace latrans
