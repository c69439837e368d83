// Coefficients from values: twin of `dequantise` in transform/quantise.py and of `scaled` in
// transform/predict.py.  64 bits, which damaged frames may exceed, wrap around.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "transform/job.h"

namespace latrans {

// What is predicted, with a gain in quarters.
template <class T>
void scale(T *to, size_t n, int gain) {
    const auto g = static_cast<uint64_t>(gain);
    for (size_t i = 0; i < n; ++i)
        if constexpr (sizeof(T) == 8)
            to[i] = static_cast<T>(g * static_cast<uint64_t>(to[i]) + 2) >> 2;
        else
            to[i] = (gain * to[i] + 2) >> 2;
}

// Adds n values in steps; `centroids` (classes, kCentroids) shift the smaller ones.
template <class T>
void add_values(const int32_t *values, const uint8_t *classes, size_t n, const int8_t *centroids,
                int64_t step, T *to) {
    for (size_t i = 0; i < n; ++i) {
        if (!values[i]) continue;
        const auto m = static_cast<uint64_t>(std::abs(int64_t{values[i]}));
        const size_t which = std::min<size_t>(m, kCentroids) - 1;
        const int64_t shift = centroids[size_t{classes[i]} * kCentroids + which];
        const uint64_t whole = (m << 8) + static_cast<uint64_t>(shift);
        const auto scaled = static_cast<int64_t>(whole * static_cast<uint64_t>(step)) >> 8;
        const auto size = static_cast<uint64_t>(scaled);
        to[i] = static_cast<T>(static_cast<uint64_t>(to[i]) + (values[i] < 0 ? -size : size));
    }
}

}  // namespace latrans
