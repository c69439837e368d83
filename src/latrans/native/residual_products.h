// Sums of products of 16-bit columns, as fast as the machine allows; all of them are exact.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

// One function, compiled for several instruction sets, chosen when the library is loaded.
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#define LATRANS_FIT_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define LATRANS_FIT_CLONES
#endif

namespace latrans {

constexpr size_t kTile = 4;
constexpr int kValueBits = 13;  // of a column's values, without the sign
constexpr int32_t kColumnLimit = 1 << kValueBits;

// Columns of n values below 2^kValueBits in magnitude; beyond `n_used` they are zero.
struct Columns {
    Columns(size_t n_columns, size_t n_values)
        : n_used(n_columns),
          n_all((n_columns + kTile - 1) / kTile * kTile),
          n(n_values),
          // Columns a power of two apart would share a few lines of the cache.
          stride((n_values + 31) / 32 * 32 + 32),
          values(n_all * stride) {}

    int16_t *operator[](size_t i) { return values.data() + i * stride; }
    const int16_t *operator[](size_t i) const { return values.data() + i * stride; }

    size_t n_used, n_all, n, stride;
    std::vector<int16_t> values;
};

// Adds 32 times the magnitude of each value to each sum.
void add_activity(const int32_t *values, size_t n, int64_t *sums);

// Sum of the magnitudes of n values.
int64_t magnitudes(const int32_t *values, size_t n);

// out = values - levels, brought into 31 bits and a sign; returns what no magnitude exceeds.
int32_t subtract(const int32_t *values, const int32_t *levels, size_t n, int32_t *out);

// Puts n values into a column, less their last `drop` bits.  What exceeds its bits is brought
// into range; `large`, if not null, says where.
void shrink(const int32_t *values, size_t n, int drop, int16_t *column, uint8_t *large);

// Raises each limit to the magnitude of a column's value.
void raise(const int16_t *column, size_t n, int16_t *limits);

// Value k of each column becomes value order[k] of the one it came from.
void reorder(const Columns &from, const uint32_t *order, Columns &to);

// Adds gain * sum over values begin .. end of the products of all pairs of columns to sums (n_all,
// n_all), where the first is not after the second.
void add_products(const Columns &columns, size_t begin, size_t end, int64_t gain, int64_t *sums);

// sums[k] = sum over columns of weight * value; weights are 16 bits.
void weigh(const Columns &columns, const int32_t *weights, size_t n_weights, int64_t *sums);

// The same for n 32-bit values per tap; no value is larger in magnitude than `largest`.
void weigh(const int32_t *values, size_t n, int64_t largest, const int32_t *weights,
           size_t n_weights, int64_t *sums);

}  // namespace latrans
