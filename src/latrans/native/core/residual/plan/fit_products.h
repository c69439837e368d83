// Sums of products of columns, as many at a time as registers hold; for fit_kernel.h.
#pragma once
#include <utility>

#include "residual/plan/fit_step.h"
#include "residual/plan/fit_vector.h"

namespace latrans {
namespace {

// Products of kTile columns with kTile scaled ones, over so many rows.  The indices are constants,
// which keeps all sums in registers.
template <size_t... K>
inline void multiply(const int16_t *const *columns, size_t begin, const int16_t *scaled, size_t n,
                     int32_t *sums, std::index_sequence<K...>) {
    Vector all[] = {load(sums + K * kLanes)...};
    const int16_t *a[kTile];
    for (size_t i = 0; i < kTile; ++i) a[i] = columns[i] + begin;
    for (size_t k = 0; k < n; k += kWidth)
        ((all[K] = add_products(all[K], load(a[K / kTile] + k),
                                load(scaled + K % kTile * kRun + k))),
         ...);
    (store(sums + K * kLanes, all[K]), ...);
}

constexpr size_t kTileSums = kTile * kTile * kLanes;

void clear(int32_t *sums, size_t n) {
    for (size_t i = 0; i < n; ++i) sums[i] = 0;
}

void flush(const int32_t *tiles, size_t n_columns, int64_t gain, int64_t *sums) {
    for (size_t i = 0; i < n_columns; i += kTile)
        for (size_t j = i; j < n_columns; j += kTile)
            for (size_t k = 0; k < kTile * kTile; ++k, tiles += kLanes) {
                int64_t sum = 0;
                for (size_t lane = 0; lane < kLanes; ++lane) sum += tiles[lane];
                sums[(i + k / kTile) * n_columns + j + k % kTile] += gain * sum;
            }
}

void products(const int16_t *const *columns, size_t n_columns, const int16_t *multipliers,
              size_t n_rows, int32_t largest, int64_t gain, const ProductSpace &space,
              int64_t *sums) {
    const size_t n_tiles = n_columns / kTile;
    const size_t n_sums = n_tiles * (n_tiles + 1) / 2 * kTileSums;
    // Every vector of rows adds two products to each sum.
    const size_t room = static_cast<size_t>(INT32_MAX / 2 / most(largest, 1)) * kWidth;
    size_t held = 0;
    clear(space.sums, n_sums);
    for (size_t begin = 0; begin < n_rows; begin += kRun) {
        const size_t n = least(kRun, n_rows - begin);
        if (held + n > room) {
            flush(space.sums, n_columns, gain, sums);
            clear(space.sums, n_sums);
            held = 0;
        }
        held += n;
        for (size_t k = 0; k < n; k += kWidth) {
            const Vector by = load(multipliers + begin + k);
            for (size_t i = 0; i < n_columns; ++i)
                store(space.scaled + i * kRun + k, times(load(columns[i] + begin + k), by));
        }
        int32_t *tile = space.sums;
        for (size_t i = 0; i < n_columns; i += kTile)
            for (size_t j = i; j < n_columns; j += kTile, tile += kTileSums)
                multiply(columns + i, begin, space.scaled + j * kRun, n, tile,
                         std::make_index_sequence<kTile * kTile>());
    }
    flush(space.sums, n_columns, gain, sums);
}

}  // namespace
}  // namespace latrans
