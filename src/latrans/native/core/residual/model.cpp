#include "residual/model.h"

#include <algorithm>
#include <numeric>

#include "bits.h"
#include "require.h"
#include "residual/weights.h"

namespace latrans {

namespace {

bool equal(Offset a, Offset b) { return a.dy == b.dy && a.dx == b.dx; }

template <size_t n>
bool equal(const std::vector<Offset> &a, const Offset (&b)[n]) {
    return std::equal(a.begin(), a.end(), b, b + n,
                      [](Offset x, Offset y) { return equal(x, y); });
}

// Whether a geometry is the one that kernels are compiled for.
template <class G>
bool is(const Geometry &g) {
    const auto same_window = [](const Window &a, const Window &b) {
        return a.above == b.above && a.left == b.left && a.right == b.right;
    };
    const auto same_sum = [](const std::vector<Term> &a, const Alternative &b) {
        return std::equal(a.begin(), a.end(), b.terms, b.terms + b.n_terms,
                          [](const Term &x, const Term &y) {
                              return x.weight == y.weight && equal(x.offset, y.offset);
                          });
    };
    return g.plane == G::plane && equal(g.base[0], G::base[0]) && equal(g.base[1], G::base[1]) &&
           equal(g.taps, G::taps) && equal(g.errors, G::errors) &&
           std::equal(g.error_weights.begin(), g.error_weights.end(), G::error_weights,
                      G::error_weights + G::n_errors) &&
           std::equal(g.windows.begin(), g.windows.end(), G::windows, G::windows + G::n_windows,
                      same_window) &&
           std::equal(g.predictors.begin(), g.predictors.end(), G::alternatives,
                      G::alternatives + G::n_alternatives, same_sum) &&
           g.n_described == G::n_described && g.median == G::median &&
           g.n_adaptive == G::n_adaptive && g.n_near == G::n_near &&
           equal(g.reference_taps, G::reference_taps) &&
           equal(g.reference_errors, G::reference_errors) && g.up == G::up && g.left == G::left &&
           g.right == G::right;
}

// Outputs of a layer that the kernel sums side by side, of those that are left
// (residual/kernel/int8_network.h).
size_t byte_block(size_t left) { return std::min<size_t>(left, 16); }

}  // namespace

Model::Model(const ModelSource &source)
    : kernel_(*source.kernel),
      geometry_(source.geometry),
      tables_(source.frequencies, kTables, kSymbols) {
    require(is<PlaneShape>(geometry_) || is<TrackShape>(geometry_), "unknown geometry");
    const auto adopt = [&](auto shape) {
        using G = decltype(shape);
        layout_ = G::layout;
        reference_reach_ = G::reference_reach;
        error_reach_ = G::error_reach;
        plan_.plane = G::plane;
        plan_.n_taps = G::n_taps;
        plan_.n_reference_taps = G::n_reference_taps;
        n_gates_ = kGates<G>;
        n_own_inputs_ = kOwnInputs<G>;
        n_reference_inputs_ = kReferenceInputs<G>;
    };
    if (geometry_.plane)
        adopt(PlaneShape{});
    else
        adopt(TrackShape{});
    plan_.flat = source.flat;
    plan_.has_picture = source.has_picture;
    plan_.n_own_taps = plan_.n_taps + (source.has_picture ? kPictureTaps : 0);
    std::copy(source.tails.begin(), source.tails.end(), plan_.tails);
    set_tables(source);
    set_trained(source.trained);

    require(!source.networks.empty(), "a predictor needs a network");
    for (const NetworkSource &network : source.networks) add_network(network);
    const auto point = [](auto &layers, auto &stores) {
        for (size_t i = 0; i < layers.size(); ++i) {
            layers[i].weights = stores[i].weights.data();
            layers[i].bias = stores[i].bias.data();
            layers[i].shift = stores[i].shift.data();
        }
    };
    point(layers_, stores_);
    point(byte_layers_, byte_stores_);
    for (size_t i = 0; i < byte_layers_.size(); ++i) {
        byte_layers_[i].lo = byte_stores_[i].lo.data();
        byte_layers_[i].hi = byte_stores_[i].hi.data();
    }
    const DenseLayer *layer = layers_.data();
    const ByteLayer *byte_layer = byte_layers_.data();
    for (size_t i = 0; i < networks_.size(); ++i) {
        networks_[i].layers = layer;
        layer += networks_[i].n_layers;
        if (!takes_bytes(source.networks[i])) continue;
        networks_[i].byte_layers = byte_layer;
        byte_layer += networks_[i].n_layers;
    }

    for (size_t table = 0; table < kTables; ++table)
        require(tables_.intervals(table)[kEscape].frequency, "a table has no room for escapes");
}

void Model::set_tables(const ModelSource &source) {
    std::copy_n(source.logs, kTableSteps, logs_);
    std::copy_n(source.reciprocals, kTableSteps, plan_.reciprocals);
    for (int i = 0; i < kTableSteps; ++i) {
        const int32_t error = source.logs[i] - (i >> 1);
        require(error >= 0 && error <= UINT8_MAX, "impossible table of logarithms");
        plan_.log_errors[i] = static_cast<uint8_t>(error);
        plan_.log_errors32[i] = error;
        require(source.reciprocals[i] > 0 && source.reciprocals[i] < 1 << 14,
                "impossible table of reciprocals");
        plan_.reciprocal_reals[i] = static_cast<float>(source.reciprocals[i]) / 1024;
    }
    for (size_t i = 0; i < geometry_.windows.size(); ++i)
        plan_.log_counts[i] = log2(static_cast<uint64_t>(geometry_.windows[i].count()));
}

void Model::set_trained(const std::vector<int32_t> &weights) {
    require(weights.size() == size_t(plan_.n_own_taps), "wrong number of linear weights");
    for (size_t i = 0; i < weights.size(); ++i) {
        require(weights[i] >= INT16_MIN && weights[i] <= INT16_MAX,
                "a linear weight exceeds 16 bits");
        plan_.trained[i] = weights[i];
        if (i < size_t(plan_.n_taps)) plan_.trained_sum += weights[i];
    }
    pair_weights(plan_.trained, plan_.n_taps, plan_.trained_pairs, 1);
}

std::vector<int> Model::input_places(int n_references) const {
    std::vector<int> places;
    int at = 0;
    const auto section = [&](int n) {
        for (int i = 0; i < n; ++i) places.push_back(at + i);
        at += padded(n);
    };
    section(n_own_inputs_);
    if (plan_.has_picture) section(kPictureInputs);
    for (int i = 0; i < n_references; ++i) section(n_reference_inputs_);
    return places;
}

// Whether all values that pass between layers fit bytes.
bool Model::takes_bytes(const NetworkSource &network) {
    const auto fits = [](const LayerSource &layer) {
        return (layer.lo >= 0 && layer.hi <= UINT8_MAX) ||
               (layer.lo >= INT8_MIN && layer.hi <= INT8_MAX);
    };
    return std::all_of(network.layers.begin(), network.layers.end() - 1, fits);
}

void Model::add_network(const NetworkSource &source) {
    require(source.n_references >= 0 && source.n_references <= kMaxDescribed,
            "a network sees too many references");
    require(!source.layers.empty(), "a network has no layers");
    std::vector<int> places = input_places(source.n_references);
    require(source.layers.front().n_in == places.size(),
            "a network takes another number of inputs");
    require(source.layers.back().n_out == static_cast<size_t>(3 + n_gates_),
            "a network has another number of outputs");
    require(source.input_lo <= -127 && source.input_hi >= 127, "network inputs reach +-127");
    networks_.push_back({source.n_references, static_cast<int>(source.layers.size()),
                         padded(places.back() + 1), nullptr, nullptr});
    const bool bytes = takes_bytes(source);
    describes_references_ |= source.n_references > 0;
    size_t n_before = 0;
    int32_t lo = -127, hi = 127;
    for (const LayerSource &layer : source.layers) {
        require(!n_before || n_before >= layer.n_in, "layers do not fit together");
        require(layer.n_in > 0 && layer.n_out > 0, "a layer is empty");
        if (n_before) {
            places.resize(layer.n_in);
            std::iota(places.begin(), places.end(), 0);
        }
        add_layer(layer, places, lo, hi);
        if (bytes) add_byte_layer(layer, places, lo < 0 ? 128 : 0, &layer == &source.layers.back());
        n_before = static_cast<size_t>(layers_.back().n_out);
        lo = layer.lo;
        hi = layer.hi;
    }
}

void Model::add_layer(const LayerSource &source, const std::vector<int> &places, int32_t lo,
                      int32_t hi) {
    require(lo >= INT16_MIN && hi <= INT16_MAX, "what passes between layers must fit 16 bits");
    const size_t blocks = (source.n_out + kOutputBlock - 1) / kOutputBlock;
    const size_t n_out = blocks * kOutputBlock, n_in = size_t(places.back()) + 1;
    const size_t n_pairs = (n_in + 1) / 2;
    LayerStore store;
    store.weights.assign(n_out * n_pairs, 0);
    store.bias.assign(n_out, 0);
    store.shift.assign(n_out, 1);
    for (size_t o = 0; o < source.n_out; ++o) {
        store.bias[o] = source.bias[o];
        store.shift[o] = source.shift[o];
        require(source.shift[o] >= 1 && source.shift[o] <= 31, "a layer shifts by 1 to 31");
        for (size_t i = 0; i < source.n_in; ++i) {
            const auto k = size_t(places[i]);
            const auto weight = static_cast<uint16_t>(int16_t{source.weights[o * source.n_in + i]});
            int32_t &pair = store.weights[(o / kOutputBlock * n_pairs + k / 2) * kOutputBlock +
                                          o % kOutputBlock];
            pair = static_cast<int32_t>(static_cast<uint32_t>(pair) |
                                        uint32_t{weight} << (k % 2 ? 16 : 0));
        }
    }
    layers_.push_back({static_cast<int>(n_in), static_cast<int>(n_out), nullptr, nullptr, nullptr,
                       source.lo, source.hi});
    stores_.push_back(std::move(store));
    widest_ = std::max({widest_, n_out, 2 * n_pairs, size_t(padded(int(n_in)))});
}

void Model::add_byte_layer(const LayerSource &source, const std::vector<int> &places,
                           int32_t input_zero, bool last) {
    const size_t n_out = size_t(padded(int(source.n_out)));
    const size_t n_cells = size_t(places.back()) / kCell + 1;
    LayerStore store;
    store.weights.assign(n_out * n_cells, 0);
    store.bias.assign(n_out, 0);
    store.shift.assign(n_out, 1);
    store.lo.assign(n_out, 0);
    store.hi.assign(n_out, 0);
    for (size_t o = 0; o < source.n_out; ++o) {
        const size_t first = o / 16 * 16, block = byte_block(n_out - first);
        int32_t sum = 0;
        for (size_t i = 0; i < source.n_in; ++i) {
            const int32_t weight = source.weights[o * source.n_in + i];
            const auto k = size_t(places[i]);
            sum += weight;
            int32_t &cell = store.weights[first * n_cells + k / kCell * block + o - first];
            cell = static_cast<int32_t>(static_cast<uint32_t>(cell) |
                                        (static_cast<uint32_t>(weight) & 255) << k % kCell * 8);
        }
        store.bias[o] = source.bias[o] + (INT32_C(1) << (source.shift[o] - 1)) - input_zero * sum;
        store.shift[o] = source.shift[o];
        const int32_t limit = output_limit(static_cast<int>(o));
        store.lo[o] = std::clamp(source.lo, -limit, limit);
        store.hi[o] = std::clamp(source.hi, -limit, limit);
    }
    const auto in_all_bytes = [](int32_t v) {
        return (static_cast<uint32_t>(v) & 255) * 0x01010101;
    };
    ByteLayer layer{static_cast<int>(n_cells), static_cast<int>(n_out), nullptr, nullptr, nullptr,
                    nullptr, nullptr, 0, 0, 0};
    if (!last) {
        layer.least = in_all_bytes(source.lo);
        layer.most = in_all_bytes(source.hi);
        layer.flip = source.lo < 0 ? 0x80808080 : 0;
    }
    byte_layers_.push_back(layer);
    byte_stores_.push_back(std::move(store));
}

int32_t Model::log2(uint64_t value) const {
    const int exponent = bit_length(value | 1) - 1;
    const uint64_t step = exponent >= 6 ? value >> (exponent - 6) : value << (6 - exponent);
    return 32 * exponent + logs_[step & 63];
}

}  // namespace latrans
