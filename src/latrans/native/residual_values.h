// Value coder: small samples of one shape, value by value.  The twin of residual/values.py.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "entropy_tables.h"
#include "residual_geometry.h"
#include "residual_model.h"
#include "residual_values_step.h"

namespace latrans {

struct ValueSource {
    size_t rows, columns;
    std::vector<Offset> taps, picture_taps;  // taps come before the sample
    std::vector<LayerSource> layers;
    const uint16_t *frequencies;  // (classes, kValueSymbols)
    size_t n_classes;
    const ValueKernel *kernel;
};

// The kernel of a name, of the fastest instruction set that runs here for "", else null.
const ValueKernel *value_kernel(const std::string &name);

constexpr size_t kValueSymbols = 257;
constexpr uint32_t kValueEscape = 256;

class ValueModel {
public:
    // Throws std::invalid_argument for what the kernels cannot take.
    explicit ValueModel(const ValueSource &source);
    ValueModel(const ValueModel &) = delete;

    size_t rows() const { return rows_; }
    size_t columns() const { return columns_; }

    // Classes (rows * columns, n) of items and their pictures, both (n, rows, columns).
    std::vector<uint16_t> classify(const uint8_t *items, const uint8_t *pictures, size_t n) const;
    std::vector<uint8_t> encode(const uint8_t *items, const uint8_t *pictures, size_t n,
                                size_t n_states) const;
    // Throws Damaged.
    void decode(RansDecoder &decoder, const uint8_t *pictures, size_t n, uint8_t *items) const;

private:
    friend class ValueGroup;

    void add_layer(const LayerSource &source, int32_t lo, int32_t hi);

    struct Store {
        std::vector<int32_t> weights, bias, shift;
    };

    size_t rows_, columns_, n_classes_;
    size_t up_ = 0, left_ = 0, right_ = 0, around_ = 0;  // margins of items and of pictures
    std::vector<Offset> taps_, picture_taps_;
    std::vector<Store> stores_;
    std::vector<DenseLayer> layers_;
    size_t widest_ = 0;
    SymbolTables<uint16_t> tables_;
    const ValueKernel *kernel_;
};

}  // namespace latrans
