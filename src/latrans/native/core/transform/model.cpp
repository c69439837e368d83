#include "transform/model.h"

#include <algorithm>
#include <stdexcept>

#include "kernels.h"

namespace latrans {
namespace {

constexpr int kMostInputs = 256;  // of a layer whose inputs are bytes

int32_t quad_of(const int8_t *w) {
    uint32_t quad = 0;
    for (int b = 0; b < 4; ++b) quad |= uint32_t{static_cast<uint8_t>(w[b])} << 8 * b;
    return static_cast<int32_t>(quad);
}

int32_t pair_of(int8_t low, int8_t high) {
    return static_cast<int32_t>((static_cast<uint32_t>(low) & 0xFFFF) |
                                static_cast<uint32_t>(high) << 16);
}

}  // namespace

TransformModel::TransformModel(const std::vector<TransformLayerView> &layers,
                               const uint16_t *frequencies, size_t n_tables, size_t n_symbols,
                               const int64_t *log_table, Cpu level)
    : kernel(kernels_of(level).transform), network{}, tables(frequencies, n_tables, n_symbols) {
    if (n_tables != kClasses || n_symbols != kBandTokens + 1)
        throw std::invalid_argument("tables do not fit the transform");
    size_t n_in = kCausalInputs + kKnownInputs;
    bool plain = false;
    for (const TransformLayerView &layer : layers) {
        const bool last = &layer == &layers.back();
        if (layer.n_in != n_in || !layer.n_out)
            throw std::invalid_argument("layer does not fit its network");
        for (size_t o = 0; o < layer.n_out; ++o)
            if (layer.shift[o] < 1 || layer.shift[o] > 31)
                throw std::invalid_argument("shift out of range");
        n_in = layer.n_out;
        plain |= !last && (layer.lo < 0 || layer.hi > 255 || layer.n_out > kMostInputs);
    }
    if (layers.empty() || n_in != 1)
        throw std::invalid_argument("network does not fit the transform");
    network.plain = plain;
    network.n_layers = static_cast<int>(layers.size());
    for (size_t i = 0; i < layers.size(); ++i) add(layers[i], i == 0, i + 1 == layers.size());
    for (size_t i = 0; i < parts_.size(); ++i) {
        layers_[i].quads = parts_[i].quads.data();
        layers_[i].pairs = parts_[i].pairs.data();
        layers_[i].weights = parts_[i].weights.data();
        layers_[i].bias = parts_[i].bias.data();
        layers_[i].shift = parts_[i].shift.data();
    }
    network.layers = layers_.data();
    fill_logs(log_table);
}

void TransformModel::add(const TransformLayerView &view, bool first, bool last) {
    const size_t n_in = first ? 4 * kQuads : (view.n_in + 3) / 4 * 4;
    const size_t n_out = last ? 1 : (view.n_out + 3) / 4 * 4;
    const size_t n_quads = n_in / 4, n_rows = (n_out + 3) / 4 * 4;
    Layer layer;
    layer.quads.resize(n_rows * n_quads);
    layer.pairs.resize(2 * n_rows * n_quads);
    for (size_t o = 0; o < n_out; ++o) {
        std::vector<int8_t> row(n_in, 0);
        int32_t bias = 0, shift = 1;
        if (o < view.n_out) {
            const int8_t *w = view.weight + o * view.n_in;
            if (first) {
                // Places first, then what is causal.
                std::copy_n(w + kCausalInputs, kPlaceInputs, row.data());
                std::copy_n(w, kCausalInputs, row.data() + 4 * kPlaceQuads);
                std::array<int8_t, kKnownInputs> known;
                std::copy_n(w + kCausalInputs, kKnownInputs, known.data());
                known_weights_.push_back(known);
            } else {
                std::copy_n(w, view.n_in, row.data());
            }
            shift = view.shift[o];
            bias = view.bias[o] + (INT32_C(1) << (shift - 1));
            if (first && !network.plain)
                for (int8_t weight : row) bias -= 128 * weight;
        }
        for (size_t g = 0; g < n_quads; ++g) {
            const size_t at = (o / 4 * n_quads + g) * 4 + o % 4;
            layer.quads[at] = quad_of(&row[4 * g]);
            layer.pairs[2 * at] = pair_of(row[4 * g], row[4 * g + 2]);
            layer.pairs[2 * at + 1] = pair_of(row[4 * g + 1], row[4 * g + 3]);
        }
        layer.weights.insert(layer.weights.end(), row.begin(), row.end());
        layer.bias.push_back(bias);
        layer.shift.push_back(shift);
    }
    layers_.push_back({static_cast<int>(n_in), static_cast<int>(n_out), view.lo, view.hi, nullptr,
                       nullptr, nullptr, nullptr, nullptr});
    parts_.push_back(std::move(layer));
}

std::vector<int32_t> TransformModel::first_bias(const int8_t *known) const {
    std::vector<int32_t> bias = parts_.front().bias;
    for (size_t o = 0; o < known_weights_.size(); ++o)
        for (int k = kPlaceInputs; k < kKnownInputs; ++k)
            bias[o] += known_weights_[o][static_cast<size_t>(k)] * known[k];
    return bias;
}

void TransformModel::fill_logs(const int64_t *from) {
    for (int i = 0; i < 64; ++i) {
        logs.logs[i] = static_cast<int32_t>(from[i]);
        logs.words[i] = static_cast<uint16_t>(from[i]);
        logs.steps[i] = static_cast<uint16_t>(from[i] >> 1);
    }
    const auto size = [this](int v) {
        int e = 0;
        while (v >> (e + 1)) ++e;
        const int step = (e < 6 ? v << (6 - e) : v >> (e - 6)) - 64;
        return std::min((32 * e + logs.logs[step] - 64) >> 1, 127);
    };
    for (int q = 0; q < 1024; ++q) logs.sizes[q] = static_cast<uint8_t>(size(q + 4));
    for (int v = 0; v < 64; ++v) logs.small[v] = static_cast<uint16_t>(v < 4 ? 0 : size(v));
}

}  // namespace latrans
