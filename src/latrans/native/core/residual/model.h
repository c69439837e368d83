// A predictor, prepared for coding: plan of a step, network and tables.  Immutable once built.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "rans/tables.h"
#include "residual/canvas.h"
#include "residual/classes.h"
#include "residual/geometry.h"
#include "residual/kernel/strip.h"

namespace latrans {

struct LayerSource {
    size_t n_in, n_out;
    const int8_t *weights;  // (n_out, n_in)
    const int32_t *bias;
    const uint8_t *shift;
    int32_t lo, hi;
};

struct NetworkSource {
    int n_references;
    std::vector<LayerSource> layers;
    int32_t input_lo, input_hi;
};

struct ModelSource {
    Geometry geometry;
    bool has_picture, flat;
    std::array<int32_t, 2> tails;
    std::vector<int32_t> trained;
    const int32_t *logs, *reciprocals;  // kTableSteps each
    std::vector<NetworkSource> networks;
    const uint16_t *frequencies;  // (kTables, kSymbols)
    const Kernel *kernel;
};

class Model {
public:
    // Throws std::invalid_argument for what the kernels cannot take.
    explicit Model(const ModelSource &source);
    Model(const Model &) = delete;

    const Geometry &geometry() const { return geometry_; }
    const Layout &layout() const { return layout_; }
    const Plan &plan() const { return plan_; }
    const Kernel &kernel() const { return kernel_; }
    bool has_picture() const { return plan_.has_picture; }
    size_t n_networks() const { return networks_.size(); }
    const Network &network(size_t i) const { return networks_[i]; }
    // Whether any network sees reference planes.
    bool describes_references() const { return describes_references_; }
    size_t widest_layer() const { return widest_; }
    // How far steps look around in reference planes.
    int reference_reach() const { return reference_reach_; }
    int error_reach() const { return error_reach_; }

    const SymbolTables<uint8_t> &tables() const { return tables_; }

    // Logarithm of value >= 1 in 1/32 octave.
    int32_t log2(uint64_t value) const;

private:
    struct LayerStore {
        std::vector<int32_t> weights, bias, shift, lo, hi;
    };

    void set_tables(const ModelSource &source);
    void set_trained(const std::vector<int32_t> &weights);
    // Where network inputs are among those that the kernels write, padding included.
    std::vector<int> input_places(int n_references) const;
    static bool takes_bytes(const NetworkSource &network);
    void add_network(const NetworkSource &source);
    void add_layer(const LayerSource &source, const std::vector<int> &places, int32_t lo,
                   int32_t hi);
    void add_byte_layer(const LayerSource &source, const std::vector<int> &places,
                        int32_t input_zero, bool last);

    const Kernel &kernel_;
    Geometry geometry_;
    Layout layout_{};
    Plan plan_{};
    int reference_reach_ = 0, error_reach_ = 0;
    int n_gates_ = 0, n_own_inputs_ = 0, n_reference_inputs_ = 0;
    int32_t logs_[kTableSteps];
    std::vector<LayerStore> stores_, byte_stores_;
    std::vector<DenseLayer> layers_;
    std::vector<ByteLayer> byte_layers_;
    std::vector<Network> networks_;
    size_t widest_ = 0;
    bool describes_references_ = false;
    SymbolTables<uint8_t> tables_;
};

}  // namespace latrans
