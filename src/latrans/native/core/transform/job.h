// What the transform's kernels are given.  Plain data: kernels are compiled once per instruction
// set and share no functions.
#pragma once
#include <cstddef>
#include <cstdint>

#include "rans/interval.h"

namespace latrans {

constexpr int kTransformLanes = 16;  // rows of a strip, and coefficients side by side
constexpr int kTransformLag = 4;     // columns that a row of a strip runs behind the one above
constexpr int kCausalInputs = 8, kKnownInputs = 28, kPlaceInputs = 19;  // the last differ by place
constexpr int kCausalQuads = 2, kPlaceQuads = 5, kQuads = kPlaceQuads + kCausalQuads;
constexpr int kSignNeighbours = 6, kSignSizes = 3, kSignBuckets = 8;
constexpr int kSignTables = kSignBuckets * kSignSizes;
constexpr int kBandDirect = 16, kBandTokens = kBandDirect + 40, kBandEscape = kBandTokens;
constexpr int kClasses = 64, kCentroids = 3;
constexpr size_t kRowMargin = 64;  // of rows of inputs, in columns, at both ends

// A layer on bytes 0 .. 255, or on any integers where its network is `plain`.
struct TransformLayer {
    int n_in, n_out;           // multiples of 4, but one output of the last layer
    int32_t lo, hi;
    const int32_t *quads;      // (n_out / 4, n_in / 4, 4 outputs): four int8 weights each
    const int32_t *pairs;      // (as quads, 2): int16 weights 0 and 2, then 1 and 3
    const int32_t *weights;    // (n_out, n_in)
    const int32_t *bias, *shift;  // the bias with half of what the shift drops
};

// The first layer takes the inputs of a place, one zero, then the causal ones.  Inputs are bytes
// with 128 added; biases make up for it.
struct TransformNetwork {
    int n_layers;
    bool plain;
    const TransformLayer *layers;
};

// Logarithms as network inputs.
struct TransformLogs {
    int32_t logs[64];     // round(32 log2(1 + i / 64))
    uint8_t sizes[1024];  // size(q)
    alignas(64) uint16_t small[64];  // size(q) by q + 4
    alignas(64) uint16_t steps[64];  // half of `logs`, rounded down
    alignas(64) uint16_t words[64];  // `logs`
};

// (rows, columns) values; without data where there are none.
struct TransformGrid {
    const int32_t *data;
    size_t rows, columns;
};

// A band, and what is known of its surroundings.
struct TransformBand {
    size_t rows, columns;
    TransformGrid parent, others[4];  // two siblings, two earlier ones
    const void *low;                  // int32, or int64 where wide; may be none
    size_t low_rows, low_columns;
    bool wide;
    int64_t step;
    const TransformLogs *logs;
    const TransformNetwork *network;
    const int32_t *first_bias;  // of the network's first layer in this band
};

constexpr int kTransformWords = 5 * kTransformLanes;  // that a step takes or looks at
static_assert(kTransformWords <= kWordsBeyond, "steps look at words that do not exist");

struct TransformReading {
    TransformBand band;
    Stream *stream;
    const uint8_t *slots;        // (classes, 4096) symbols, three bytes more
    const Interval *intervals;   // (classes, kBandTokens + 1)
    const uint16_t *signs;       // frequencies of the first symbol, kSignTables of them
    const int16_t *sign_weights;
    int32_t *values;             // (rows, columns), zeros at first
    uint8_t *classes;            // likewise; set where values are not 0
};

// What a band's coefficients should be, given the picture at its level.
struct TransformPrediction {
    const void *low;  // int32, or int64 where wide; so is `out`
    size_t low_rows, low_columns;
    bool wide, vertical;
    size_t rows, columns;
    const int32_t *weights;
    void *out;
};

// Memory for one call; nothing is given back before its end.
class TransformArena {
public:
    virtual void *take(size_t nbytes) = 0;  // zeros, aligned to 64 bytes

protected:
    ~TransformArena() = default;
};

struct TransformKernel {
    // Values of a band; where the stream ends before them it stops beyond that end.
    void (*read)(const TransformReading &, TransformArena &);
    // Inputs that differ by place: for each row kPlaceQuads rows of `stride` dwords, which is the
    // columns rounded up to a multiple of 64.
    void (*inputs)(const TransformBand &, uint32_t *to, size_t stride, TransformArena &);
    // Classes of what is wanted; of everything without `wanted`.
    // Magnitudes (rows, columns) are at most 2047.
    void (*classify)(const TransformBand &, const uint32_t *inputs, size_t stride,
                     const uint16_t *magnitudes, const uint8_t *wanted, uint8_t *classes,
                     TransformArena &);
    void (*predict)(const TransformPrediction &, TransformArena &);
    int64_t (*largest32)(const int32_t *, size_t n);  // magnitude
    int64_t (*largest64)(const int64_t *, size_t n);  // up to 2^63 - 1
    // to[i] += or -= lift(k, a[i] + b[i]).
    void (*lift32)(int32_t *to, const int32_t *a, const int32_t *b, size_t n, int32_t k, bool undo);
    void (*lift64)(int64_t *to, const int64_t *a, const int64_t *b, size_t n, int32_t k, bool undo);
};

}  // namespace latrans
