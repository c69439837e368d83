// Writing the stream of a transform's bands, last symbol first.
#pragma once
#include <cstdint>
#include <vector>

#include "rans/coder.h"
#include "transform/model.h"

namespace latrans {

// What tells a sign: the frequencies of a band's tables, and the weights of its neighbours.
struct TransformSigns {
    uint16_t first[2 * kTransformLanes];  // kSignTables of them
    int16_t weights[kSignNeighbours];
};

class TransformWriter {
public:
    explicit TransformWriter(size_t n_states) : n_states_(n_states), rans_(n_states) {}

    // Symbols on the first state.
    void push(uint32_t start, uint32_t frequency, int bits) {
        rans_.push(0, start, frequency, bits);
    }

    // Values (rows, columns) below 2^24 in magnitude.
    void push_band(const TransformModel &model, const TransformSigns &signs, const int32_t *values,
                   const uint8_t *classes, size_t rows, size_t columns);

    std::vector<uint8_t> finish() const { return rans_.finish(); }

private:
    size_t n_states_;
    RansEncoder rans_;
};

}  // namespace latrans
