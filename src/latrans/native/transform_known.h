// Inputs of a band from bands that are decoded already.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "transform_sizes.h"

namespace latrans {

// (rows, columns) values, not empty; without data where there are none.
struct Grid {
    const int64_t *data = nullptr;
    size_t rows = 0, columns = 0;
    int64_t at(size_t y, size_t x) const { return data[y * columns + x]; }
};

struct Surroundings {
    Grid parent, low;
    std::vector<Grid> siblings, earlier;  // at most two each
    int64_t step = 1;
};

// Writes the inputs that differ by place, rows 0 to 18 of (inputs, rows, columns); `out` is zero.
void known_inputs(const Sizes &sizes, const Surroundings &s, size_t rows, size_t columns,
                  int8_t *out);

}  // namespace latrans
