#include "network/dense.h"

#include <algorithm>

#include "require.h"

namespace latrans {

namespace {

constexpr size_t kMostInputs = 1 << 15;  // bytes times weights then fit int32 with room to spare

int32_t base_of(int32_t lo, int group) { return group == 4 && lo < 0 ? -128 : 0; }

bool fits(int32_t lo, int32_t hi, int group) {
    if (group == 2) return lo >= INT16_MIN && hi <= INT16_MAX;
    const int32_t base = base_of(lo, group);
    return lo >= base && hi <= base + 255;
}

bool fits(const std::vector<LayerSource> &layers, int32_t lo, int32_t hi, int group) {
    bool all = fits(lo, hi, group);
    for (size_t i = 0; i + 1 < layers.size(); ++i) all &= fits(layers[i].lo, layers[i].hi, group);
    return all;
}

}  // namespace

DenseNetwork::DenseNetwork(const std::vector<LayerSource> &layers, int32_t lo, int32_t hi,
                           const ValueKernel &kernel)
    : kernel_(&kernel) {
    require(!layers.empty(), "the network has no layers");
    if (kernel_->wide && !fits(layers, lo, hi, kernel_->group)) kernel_ = kernel_->wide;
    require(fits(layers, lo, hi, kernel_->group),
            "what passes between layers must fit 16 bits");
    n_in_ = layers.front().n_in;
    n_out_ = layers.back().n_out;
    base_ = base_of(lo, kernel_->group);
    int32_t base = base_;
    for (size_t i = 0; i < layers.size(); ++i) {
        const bool last = i + 1 == layers.size();
        require(layers[i].n_in >= 1 && layers[i].n_in <= kMostInputs, "a layer is too wide");
        require(layers[i].n_out >= 1, "a layer has no outputs");
        require(last || layers[i].n_out == layers[i + 1].n_in, "layers do not fit together");
        const int32_t next = last ? 0 : base_of(layers[i].lo, kernel_->group);
        add(layers[i], base, next);
        base = next;
    }
    for (size_t i = 0; i < layers_.size(); ++i) {
        layers_[i].weights = stores_[i].weights.data();
        layers_[i].columns = stores_[i].columns.data();
        layers_[i].bias = stores_[i].bias.data();
        layers_[i].shift = stores_[i].shift.data();
    }
}

void DenseNetwork::add(const LayerSource &source, int32_t base, int32_t next_base) {
    const auto group = static_cast<size_t>(kernel_->group), lanes = static_cast<size_t>(kLanes);
    const auto block = static_cast<size_t>(kernel_->block);
    const size_t n_words = (source.n_in + group - 1) / group;
    const size_t n_out = (source.n_out + lanes - 1) / lanes * lanes;
    Store store{std::vector<int32_t>(n_out * n_words), std::vector<int32_t>(n_out * n_words),
                std::vector<int32_t>(n_out), std::vector<int32_t>(n_out, 1)};
    for (size_t o = 0; o < source.n_out; ++o) {
        require(source.shift[o] >= 1 && source.shift[o] <= 31, "a layer shifts by 1 to 31");
        store.shift[o] = source.shift[o];
        store.bias[o] = source.bias[o] + (INT32_C(1) << (source.shift[o] - 1));
        for (size_t k = 0; k < n_words; ++k) {
            int32_t values[4] = {};
            const size_t n = std::min(group, source.n_in - k * group);
            for (size_t i = 0; i < n; ++i) {
                values[i] = source.weights[o * source.n_in + k * group + i];
                store.bias[o] += base * values[i];
            }
            const int32_t word = value_word(values, kernel_->group, kernel_->group, 0);
            store.weights[(o / block * n_words + k) * block + o % block] = word;
            store.columns[k * n_out + o] = word;
        }
    }
    layers_.push_back({static_cast<int>(n_words), static_cast<int>(n_out), nullptr, nullptr,
                       nullptr, nullptr, source.lo, source.hi, next_base});
    stores_.push_back(std::move(store));
    widest_ = std::max({widest_, n_out * lanes / group, n_words * lanes, n_out});
}

}  // namespace latrans
