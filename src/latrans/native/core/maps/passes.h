// Passes over whole arrays: quantising, checking a bound, coming back, extremes, simple misses.
#pragma once
#include <cfloat>
#include <cstddef>
#include <cstdint>

// Every double must be rounded once per operation: x87 registers hold more, and no bound would be
// kept.
static_assert(FLT_EVAL_METHOD >= 0 && FLT_EVAL_METHOD != 2,
              "doubles have excess precision here; on x86 build with -msse2 -mfpmath=sse");
// The Python side needs NumPy's default integers to have 64 bits.
static_assert(sizeof(void *) == 8, "latrans needs a 64-bit platform");

namespace latrans {

constexpr int kMapTypes = 10;  // float32, float64, int8, uint8, int16, ... int64, uint64
constexpr int kMostMisses = 5;   // predictors that `misses` compares

// Values that integers come back as lie in it; floats take no notice.
struct ValueRange {
    double lo, hi;
};

// How values compare with what comes back: beyond the bound, equal though not by integer 0, and
// how many integers are not 0.
struct Compared {
    int64_t missed = 0, same = 0, told = 0;
};

struct Extremes {
    double lo, hi;
    int64_t wild, zeros;
};

struct Pass {
    // False where an integer would leave its range; `out` and `found` are then of no use.
    bool (*quantise)(const void *values, size_t n, double step, double bound,
                     const ValueRange &range, int32_t *out, Compared &found);
    void (*compare)(const void *values, const int32_t *integers, size_t n, double step,
                    double bound, const ValueRange &range, Compared &found);
    void (*restore)(const int32_t *integers, size_t n, double step, const ValueRange &range,
                    void *out);
};

// For each predictor, a sum per group of samples.
struct Sums {
    int64_t *of;
    size_t groups;
};

using Misses = void (*)(const int32_t *planes, size_t n_planes, size_t rows, size_t columns,
                        bool plane, const Sums &sums);

struct MapKernel {
    Pass passes[kMapTypes];
    void (*extent[2])(const void *values, size_t n, Extremes &found);
    Misses misses[2];  // in 32 bits, for samples below 2**26, and in 64
};

}  // namespace latrans
