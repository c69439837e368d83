// Floats as a cell to predict and a place among the cell's floats: the twin of maps/two_layer.py, where
// the arithmetic is described (FORMAT.md 5.1).
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace latrans {

struct SecondLayer {
    std::vector<uint8_t> low;     // places, grouped by their width in bits; empty where all are 0
    std::vector<int64_t> octaves; // of samples in the cells at zero: 0 for zero, else 1 + octaves
};

// Cells of n values, `integers`, and the second layer; none where every value is its cell's first.
std::optional<SecondLayer> split_floats(const float *values, size_t n, int exponent,
                                        int64_t *integers);

// Samples in the cells at zero, whose number of octaves is stored.
size_t count_at_zero(const int64_t *integers, size_t n);

// Inverse of `split_floats`.  No bytes of `low` stand for zeros; `octaves` are as many as
// `count_at_zero` says, none of them beyond the exponent of 2**exponent, or null where there is no
// second layer.  False where `low` has another length than the cells ask for.
bool join_floats(const int64_t *integers, size_t n, int exponent, const uint8_t *low,
                 size_t nbytes, const int64_t *octaves, float *values);

}  // namespace latrans
