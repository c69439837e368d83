// Chunks of one small sample each, as many at a time as there are: latents and residual sections
// of a model that codes by value.  The twin of what chunk/encode.py does with latents.py, a dense
// autoencoder and residual/values/coder.py for one item.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "network/dense.h"
#include "rans/tables.h"
#include "values/coder.h"

namespace latrans {

struct ProgramSource {
    std::vector<LayerSource> layers;
    int32_t lo, hi;  // of the inputs
};

// A run of bytes that somebody else keeps.
using Bytes = std::pair<const uint8_t *, size_t>;

class ValueChunks {
public:
    struct Sections {
        std::vector<uint8_t> latents, residual;
    };

    // `frequencies` are (channels, kSymbols), `limit` the largest magnitude of a latent.  Throws
    // std::invalid_argument for what the kernels cannot take.
    ValueChunks(std::shared_ptr<const ValueModel> model, const ProgramSource &analysis,
                const ProgramSource &synthesis, const uint16_t *frequencies, size_t channels,
                int32_t limit);
    ValueChunks(const ValueChunks &) = delete;

    const ValueModel &model() const { return *model_; }

    // Sections of n items (n, rows, columns).
    std::vector<Sections> encode(const uint8_t *items, size_t n) const;
    // Throws Damaged.
    void decode(const std::vector<std::pair<Bytes, Bytes>> &sections, uint8_t *items) const;

private:
    std::vector<uint8_t> encode_latents(const int32_t *latents) const;
    void decode_latents(Bytes section, int32_t *latents) const;
    void synthesise(const int32_t *latents, int32_t *const rows[2], uint8_t *picture) const;
    size_t widest() const;

    std::shared_ptr<const ValueModel> model_;
    DenseNetwork analysis_, synthesis_;
    SymbolTables<uint8_t> tables_;
    int32_t limit_;
};

}  // namespace latrans
