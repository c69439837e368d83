// Value coder: small samples of one shape, value by value.  The twin of residual/values/coder.py.
#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "network/dense.h"
#include "rans/tables.h"
#include "residual/geometry.h"

namespace latrans {

struct ValueSource {
    size_t rows, columns;
    std::vector<Offset> taps, picture_taps;  // taps come before the sample
    std::vector<LayerSource> layers;
    const uint16_t *frequencies;  // (classes, kValueSymbols)
    size_t n_classes;
    const ValueKernel *kernel;
};

constexpr size_t kValueSymbols = 257;
constexpr uint32_t kValueEscape = 256;

class ValueModel {
public:
    // Throws std::invalid_argument for what the kernels cannot take.
    explicit ValueModel(const ValueSource &source);
    ValueModel(const ValueModel &) = delete;

    size_t rows() const { return rows_; }
    size_t columns() const { return columns_; }
    size_t area() const { return rows_ * columns_; }
    const ValueKernel &kernel() const { return kernel_; }

    // Classes of items and their pictures, all (n, rows, columns).
    std::vector<uint16_t> classify(const uint8_t *items, const uint8_t *pictures, size_t n) const;
    // One section of all items.
    std::vector<uint8_t> encode(const uint8_t *items, const uint8_t *pictures, size_t n,
                                size_t n_states) const;
    // The same, of classes that are known.
    std::vector<uint8_t> encode_classes(const uint8_t *items, const uint16_t *classes, size_t n,
                                        size_t n_states) const;
    // Throws Damaged.
    void decode(RansDecoder &decoder, const uint8_t *pictures, size_t n, uint8_t *items) const;
    // Items of a section each.  Throws Damaged.
    void decode_each(std::deque<RansDecoder> &decoders, const uint8_t *pictures,
                     uint8_t *items) const;

private:
    friend class ValueGroup;

    // Items come pixel by pixel; `decoder_of(i)` and `state_of(i)` say where those of item i are.
    template <class DecoderOf, class StateOf>
    void decode_from(const uint8_t *pictures, size_t n, uint8_t *items, DecoderOf &&decoder_of,
                     StateOf &&state_of) const;

    size_t rows_, columns_;
    struct {
        size_t up = 0, down = 0, left = 0, right = 0;
    } margin_;  // that taps reach into
    std::vector<Offset> taps_, picture_taps_;
    std::vector<uint8_t> row_places_, column_places_;  // the last two inputs
    const ValueKernel &kernel_;
    DenseNetwork network_;
    SymbolTables<uint16_t> tables_;
};

}  // namespace latrans
