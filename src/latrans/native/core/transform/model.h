// A transform's network and tables, laid out for its kernels.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "cpu.h"
#include "rans/tables.h"
#include "transform/job.h"

namespace latrans {

// A layer as the model file has it: weights (n_out, n_in).
struct TransformLayerView {
    const int8_t *weight;
    const int32_t *bias;
    const uint8_t *shift;
    size_t n_in, n_out;
    int32_t lo, hi;
};

class TransformModel {
public:
    // Throws std::invalid_argument where parts do not fit.  The caller has proven all accumulators
    // of the network below 2^24 (`Program.check`).
    TransformModel(const std::vector<TransformLayerView> &layers, const uint16_t *frequencies,
                   size_t n_tables, size_t n_symbols, const int64_t *logs, Cpu level);
    TransformModel(const TransformModel &) = delete;

    // The first layer's bias where all places share these inputs, of which those from kPlaceInputs
    // on count.
    std::vector<int32_t> first_bias(const int8_t *known) const;

    const TransformKernel &kernel;
    TransformNetwork network;
    TransformLogs logs;
    SymbolTables<uint8_t> tables;  // one for each class

private:
    struct Layer {
        std::vector<int32_t> quads, pairs, weights, bias, shift;
    };
    void add(const TransformLayerView &view, bool first, bool last);
    void fill_logs(const int64_t *from);

    std::vector<Layer> parts_;
    std::vector<TransformLayer> layers_;
    std::vector<std::array<int8_t, kKnownInputs>> known_weights_;
};

}  // namespace latrans
