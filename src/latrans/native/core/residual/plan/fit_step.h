// The inner loops of the planner's fits, compiled for several instruction sets.
#pragma once
#include <cstddef>
#include <cstdint>

namespace latrans {

// Columns are handled in blocks of so many rows, and padded to whole ones.
constexpr size_t kFitRows = 256;
// Rows whose products are summed at a time, at most.
constexpr size_t kProductRows = 512;
// What a product, times its row's multiplier, stays below: 32 of them fit 32 bits.
constexpr int32_t kProductLimit = 1 << 26;
constexpr size_t kFarWeights = 128;
constexpr int kOctaves = 8;      // of weights of rows
constexpr int kMainOctave = 4;   // rows that weigh at least 2 to this stay in place
constexpr int64_t kErrorLimit = int64_t{1} << 22;  // of a row that is fitted

// Room that sums of products need for n columns.
struct ProductSpace {
    int16_t *scaled;  // n * kProductRows, 64-byte aligned
    int32_t *sums;    // (n / tile) * (n / tile + 1) / 2 * tile * tile * lanes, 64-byte aligned
};

// Rows as they are weighted: by `multipliers` times 2^kMainOctave, or apart from the others.
struct RowWeights {
    int16_t *multipliers;
    uint16_t *apart;  // the weight, or 0
    int64_t sum;      // of all weights
    int32_t largest;  // product times multiplier
};

template <class E>
struct Rows {
    const int16_t *target, *live;  // live: -1 where the row counts, otherwise 0
    const E *scale;
    E *error;
};

struct FitKernel {
    size_t tile;   // columns come in multiples of this
    size_t lanes;  // of 32 bits in a vector

    // out = values - levels, saturated; n is rounded up to 16.
    void (*subtract)(const int32_t *values, const int32_t *levels, size_t n, int16_t *out);
    // Rounded means, n rounded up to 16.
    void (*level)(const int32_t *a, const int32_t *b, size_t n, int32_t *out);
    // Every s-th value: out[phase * stride + i] = values[i * s + phase].
    void (*split)(const int32_t *values, size_t n, size_t s, int32_t *out, size_t stride);
    // The following take n in whole blocks.
    // Raises limits to the magnitudes of values, and returns the sum of these.
    int64_t (*survey)(const int16_t *values, size_t n, int16_t *largest);
    void (*add_activity)(const int16_t *values, size_t n, int32_t *sums);
    void (*shrink)(const int16_t *values, size_t n, int drop, int limit, int16_t *out);
    // Prediction of one block with 8 fraction bits; sums of weights times values fit 32 bits.
    void (*predict)(const int16_t *const *columns, const int32_t *weights, size_t n_weights,
                    int shift, size_t begin, int32_t *predicted);
    // The same for shifts from 8 on and up to kFarWeights weights: predictions fit 32 bits.
    void (*predict_far)(const int16_t *const *columns, const int32_t *weights, size_t n_weights,
                        int shift, size_t begin, int32_t *predicted);
    // New errors of one block: their sum and the least are updated.
    void (*refresh)(const Rows<int32_t> &rows, const int32_t *predicted, int drop, size_t begin,
                    int64_t &sum, int32_t &least);
    void (*refresh_wide)(const Rows<int64_t> &rows, const int32_t *predicted, int drop,
                         size_t begin, int64_t &sum, int64_t &least);
    // Weights of rows: 2^kOctaves, halved with every octave that error + floor exceeds 2^least.
    void (*weigh)(const Rows<int32_t> &rows, const int16_t *largest, size_t n, int32_t floor,
                  int least, RowWeights &weights);
    void (*weigh_wide)(const Rows<int64_t> &rows, const int16_t *largest, size_t n, int64_t floor,
                       int least, RowWeights &weights);
    // Adds gain * sum of multiplier * product for all pairs of columns to (n, n) sums, where the
    // first is not after the second.
    void (*products)(const int16_t *const *columns, size_t n_columns, const int16_t *multipliers,
                     size_t n_rows, int32_t largest, int64_t gain, const ProductSpace &space,
                     int64_t *sums);
    // Sum of errors and of their logarithms over rows that are not larger than `limit`.
    void (*score)(const int32_t *predicted, const int16_t *target, const int16_t *largest,
                  int limit, int32_t floor, const int32_t *logs, size_t begin, int64_t &error,
                  int64_t &cost);
    // Elimination below the diagonal of n rows of n + 1 doubles, of which the upper triangle is
    // looked at; false where a pivot is not positive.
    bool (*eliminate)(double *work, size_t n, size_t stride);
};

}  // namespace latrans
