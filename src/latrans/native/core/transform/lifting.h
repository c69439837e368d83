// The 9/7 wavelet in integers: twin of transform/lifting.py.  Arithmetic is modulo 2^64; in 32 bits
// it is the same as long as what goes in stays within kNarrow: filters add up to less than 2^5
// times that.
#pragma once
#include <cstddef>
#include <cstdint>

namespace latrans {

constexpr int64_t kNarrow = int64_t{1} << 26;

// The four bands of a plane, ceil or floor of half its size each.
template <class T>
struct WaveletBands {
    T *low, *horizontal, *vertical, *diagonal;
};

// A plane (rows, columns) to its bands, and back; T is int32_t or int64_t.
template <class T>
void wavelet_split(const T *plane, size_t rows, size_t columns, const WaveletBands<T> &bands);
template <class T>
void wavelet_join(const WaveletBands<const T> &bands, size_t rows, size_t columns, T *plane);

// Up to 2^63 - 1.
int64_t largest_magnitude(const int32_t *values, size_t n);
int64_t largest_magnitude(const int64_t *values, size_t n);

}  // namespace latrans
