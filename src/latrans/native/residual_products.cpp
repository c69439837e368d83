#include "residual_products.h"

#include <algorithm>
#include <cstdlib>

namespace latrans {

namespace {

constexpr size_t kBlock = 512;  // sums that stay in the cache while column after column is added

// Products of four columns with four; their sums must fit 32 bits.
LATRANS_FIT_CLONES
void multiply(const int16_t *a, const int16_t *b, size_t stride, size_t n, int32_t *out) {
    const int16_t *a0 = a, *a1 = a + stride, *a2 = a1 + stride, *a3 = a2 + stride;
    const int16_t *b0 = b, *b1 = b + stride, *b2 = b1 + stride, *b3 = b2 + stride;
    int32_t s00 = 0, s01 = 0, s02 = 0, s03 = 0, s10 = 0, s11 = 0, s12 = 0, s13 = 0;
    int32_t s20 = 0, s21 = 0, s22 = 0, s23 = 0, s30 = 0, s31 = 0, s32 = 0, s33 = 0;
    // Written out: only then do compilers sum sixteen vectors side by side.
    for (size_t k = 0; k < n; ++k) {
        s00 += int32_t{a0[k]} * b0[k];
        s01 += int32_t{a0[k]} * b1[k];
        s02 += int32_t{a0[k]} * b2[k];
        s03 += int32_t{a0[k]} * b3[k];
        s10 += int32_t{a1[k]} * b0[k];
        s11 += int32_t{a1[k]} * b1[k];
        s12 += int32_t{a1[k]} * b2[k];
        s13 += int32_t{a1[k]} * b3[k];
        s20 += int32_t{a2[k]} * b0[k];
        s21 += int32_t{a2[k]} * b1[k];
        s22 += int32_t{a2[k]} * b2[k];
        s23 += int32_t{a2[k]} * b3[k];
        s30 += int32_t{a3[k]} * b0[k];
        s31 += int32_t{a3[k]} * b1[k];
        s32 += int32_t{a3[k]} * b2[k];
        s33 += int32_t{a3[k]} * b3[k];
    }
    const int32_t all[] = {s00, s01, s02, s03, s10, s11, s12, s13,
                           s20, s21, s22, s23, s30, s31, s32, s33};
    std::copy(all, all + 16, out);
}

LATRANS_FIT_CLONES
int64_t add_magnitudes(const int32_t *values, size_t n) {
    int64_t sum = 0;
    for (size_t k = 0; k < n; ++k) sum += std::abs(int64_t{values[k]});
    return sum;
}

LATRANS_FIT_CLONES
void add_activity_all(const int32_t *values, size_t n, int64_t *sums) {
    for (size_t k = 0; k < n; ++k) sums[k] += std::abs(int64_t{values[k]}) * 32;
}

LATRANS_FIT_CLONES
int32_t subtract_all(const int32_t *values, const int32_t *levels, size_t n, int32_t *out) {
    uint32_t largest = 0;
    for (size_t k = 0; k < n; ++k) {
        const int32_t a = values[k], b = levels[k];
        const auto wrapped =
            static_cast<int32_t>(static_cast<uint32_t>(a) - static_cast<uint32_t>(b));
        const int32_t overflows = ((a ^ b) & (a ^ wrapped)) >> 31, end = (a >> 31) ^ INT32_MAX;
        const int32_t difference =
            std::max((wrapped & ~overflows) | (end & overflows), -INT32_MAX);
        out[k] = difference;
        // All bits of all magnitudes: no minimum and maximum to carry along.
        largest |= static_cast<uint32_t>(difference < 0 ? -difference : difference);
    }
    return static_cast<int32_t>(largest);
}

LATRANS_FIT_CLONES
void shrink_all(const int32_t *values, size_t n, int drop, int16_t *column) {
    for (size_t k = 0; k < n; ++k) {
        const int32_t value = values[k] >> drop;
        column[k] = static_cast<int16_t>(
            std::min(std::max(value, 1 - kColumnLimit), kColumnLimit - 1));
    }
}
LATRANS_FIT_CLONES
void mark_large(const int32_t *values, size_t n, int drop, uint8_t *large) {
    for (size_t k = 0; k < n; ++k) {
        const int32_t value = values[k] >> drop;
        large[k] |= (value >= kColumnLimit) | (value <= -kColumnLimit);
    }
}

LATRANS_FIT_CLONES
void raise_all(const int16_t *column, size_t n, int16_t *limits) {
    for (size_t k = 0; k < n; ++k) {
        const auto size = static_cast<int16_t>(column[k] < 0 ? -column[k] : column[k]);
        limits[k] = std::max(limits[k], size);
    }
}

template <class Sum, class Value>
inline void add_weighted(const Value *values, int32_t weight, size_t n, Sum *sums) {
    for (size_t k = 0; k < n; ++k) sums[k] += Sum{weight} * Sum{values[k]};
}

// Tap after tap; `narrow` says that 32 bits hold every sum.
LATRANS_FIT_CLONES
void weigh_short(const int16_t *values, size_t stride, const int32_t *weights, size_t n_weights,
                 size_t n, int32_t *sums) {
    for (size_t i = 0; i < n_weights; ++i) add_weighted(values + i * stride, weights[i], n, sums);
}
LATRANS_FIT_CLONES
void weigh_short_wide(const int16_t *values, size_t stride, const int32_t *weights,
                      size_t n_weights, size_t n, int64_t *sums) {
    for (size_t i = 0; i < n_weights; ++i) add_weighted(values + i * stride, weights[i], n, sums);
}
LATRANS_FIT_CLONES
void weigh_long(const int32_t *values, size_t stride, const int32_t *weights, size_t n_weights,
                size_t n, int32_t *sums) {
    for (size_t i = 0; i < n_weights; ++i) add_weighted(values + i * stride, weights[i], n, sums);
}
LATRANS_FIT_CLONES
void weigh_long_wide(const int32_t *values, size_t stride, const int32_t *weights,
                     size_t n_weights, size_t n, int64_t *sums) {
    for (size_t i = 0; i < n_weights; ++i) add_weighted(values + i * stride, weights[i], n, sums);
}

template <class Value, class Narrow, class Wide>
void weigh_blocks(const Value *values, size_t stride, size_t n, int64_t largest,
                  const int32_t *weights, size_t n_weights, int64_t *sums, Narrow narrow, Wide wide) {
    int64_t total = 0;
    for (size_t i = 0; i < n_weights; ++i) total += std::abs(int64_t{weights[i]});
    const bool fits = total == 0 || largest <= INT32_MAX / total;
    for (size_t begin = 0; begin < n; begin += kBlock) {
        const size_t m = std::min(kBlock, n - begin);
        int64_t *out = sums + begin;
        if (fits) {
            int32_t block[kBlock] = {};
            narrow(values + begin, stride, weights, n_weights, m, block);
            std::copy(block, block + m, out);
        } else {
            std::fill(out, out + m, 0);
            wide(values + begin, stride, weights, n_weights, m, out);
        }
    }
}

}  // namespace

void add_activity(const int32_t *values, size_t n, int64_t *sums) {
    add_activity_all(values, n, sums);
}

int64_t magnitudes(const int32_t *values, size_t n) { return add_magnitudes(values, n); }

int32_t subtract(const int32_t *values, const int32_t *levels, size_t n, int32_t *out) {
    return subtract_all(values, levels, n, out);
}

void shrink(const int32_t *values, size_t n, int drop, int16_t *column, uint8_t *large) {
    shrink_all(values, n, drop, column);
    if (large) mark_large(values, n, drop, large);
}

void raise(const int16_t *column, size_t n, int16_t *limits) { raise_all(column, n, limits); }

void reorder(const Columns &from, const uint32_t *order, Columns &to) {
    for (size_t i = 0; i < from.n_all; i += kTile) {
        const int16_t *a = from[i], *b = from[i + 1], *c = from[i + 2], *d = from[i + 3];
        int16_t *e = to[i], *f = to[i + 1], *g = to[i + 2], *h = to[i + 3];
        for (size_t k = 0; k < from.n; ++k) {
            const uint32_t source = order[k];
            e[k] = a[source];
            f[k] = b[source];
            g[k] = c[source];
            h[k] = d[source];
        }
    }
}

void add_products(const Columns &columns, size_t begin, size_t end, int64_t gain, int64_t *sums) {
    const size_t n = columns.n_all;
    for (size_t i = 0; i < n; i += kTile)
        for (size_t j = i; j < n; j += kTile) {
            int32_t tile[kTile * kTile];
            multiply(columns[i] + begin, columns[j] + begin, columns.stride, end - begin, tile);
            for (size_t k = 0; k < kTile * kTile; ++k)
                sums[(i + k / kTile) * n + j + k % kTile] += gain * tile[k];
        }
}

void weigh(const Columns &columns, const int32_t *weights, size_t n_weights, int64_t *sums) {
    weigh_blocks(columns[0], columns.stride, columns.n, kColumnLimit - 1, weights, n_weights, sums,
                 weigh_short, weigh_short_wide);
}

void weigh(const int32_t *values, size_t n, int64_t largest, const int32_t *weights,
           size_t n_weights, int64_t *sums) {
    weigh_blocks(values, n, n, largest, weights, n_weights, sums, weigh_long, weigh_long_wide);
}

}  // namespace latrans
