// The encoder's choice of values: twin of transform/rdo.py and transform/quantise.py.
#pragma once
#include <cstdint>
#include <vector>

#include "transform/model.h"

namespace latrans {

struct TransformCosts {
    std::vector<double> costs;   // (classes, kBandTokens), weighed against squared errors
    std::vector<double> shifts;  // (classes, kCentroids) in steps
};

struct TransformChoice {
    int gain = 0, code = 0;
    std::vector<int32_t> values;
    std::vector<uint8_t> classes;
};

// Token of a magnitude below 2^24.
inline int token_of(uint32_t magnitude) {
    if (magnitude < kBandDirect) return static_cast<int>(magnitude);
    int exponent = 4;
    while (magnitude >> (exponent + 1)) ++exponent;
    return kBandDirect + 2 * (exponent - 4) + static_cast<int>(magnitude >> (exponent - 1) & 1);
}

// Code of the mean of magnitudes with this sum.
int mean_code(const TransformLogs &logs, uint64_t total, size_t n);

// Values of least cost for coefficients (rows, columns).  `prediction`, of the same size, is what
// they should be, in multiples of the gain; it may be none, and is overwritten.
template <class T>
TransformChoice choose_values(const TransformModel &model, const TransformCosts &costs,
                              TransformBand band, const int8_t *known, bool is_low,
                              const T *coefficients, T *prediction, TransformArena &arena);

}  // namespace latrans
