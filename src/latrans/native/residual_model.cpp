#include "residual_model.h"

#include <algorithm>
#include <cstdlib>
#include <stdexcept>

#include "residual_bits.h"

namespace latrans {

namespace {

void require(bool holds, const char *what) {
    if (!holds) throw std::invalid_argument(what);
}

constexpr Offset kPicture[kPictureTaps] = {{-1, -1}, {-1, 0}, {-1, 1}, {0, -1}, {0, 0},
                                           {0, 1},   {1, -1}, {1, 0},  {1, 1}};

}  // namespace

Model::Model(const ModelSource &source)
    : kernel_(*source.kernel),
      geometry_(source.geometry),
      tables_(source.frequencies, kTables, kSymbols) {
    plan_.plane = geometry_.plane;
    plan_.median = geometry_.median;
    plan_.flat = source.flat;
    plan_.has_picture = source.has_picture;
    std::copy(source.tails.begin(), source.tails.end(), plan_.tails);
    std::copy_n(source.logs, kTableSteps, plan_.logs);
    std::copy_n(source.reciprocals, kTableSteps, plan_.reciprocals);
    lay_out();
    plan_looks();

    require(source.trained.size() == size_t(plan_.n_own_taps), "wrong number of linear weights");
    for (size_t i = 0; i < source.trained.size(); ++i) {
        require(std::abs(int64_t{source.trained[i]}) <= 1 << 15, "a linear weight exceeds 16 bits");
        plan_.trained[i] = source.trained[i];
    }

    require(!source.networks.empty(), "a predictor needs a network");
    for (const NetworkSource &network : source.networks) add_network(network);
    for (size_t i = 0; i < layers_.size(); ++i) {
        layers_[i].weights = stores_[i].weights.data();
        layers_[i].bias = stores_[i].bias.data();
        layers_[i].shift = stores_[i].shift.data();
    }
    const DenseLayer *layer = layers_.data();
    for (Network &network : networks_) {
        network.layers = layer;
        layer += network.n_layers;
    }

    for (size_t table = 0; table < kTables; ++table)
        require(tables_.intervals(table)[kEscape].frequency, "a table has no room for escapes");
}

// Margins that hold everything the geometry looks at; it may not look at what is not yet coded.
void Model::lay_out() {
    Geometry &g = geometry_;
    require(g.up >= 0 && g.left >= 1 && g.right >= 0 && g.up < 64 && g.left < 4096 && g.right < 64,
            "geometry reaches too far");
    require(g.plane == (g.up > 0), "lanes of a plane see the rows above, those of a track do not");
    layout_ = {g.lag(), g.up, 0, g.left + 1, g.right};
    const auto own = [&](Offset o) {
        require(o.dy <= 0 && -o.dy <= g.up && -o.dx <= g.left && o.dx <= g.right,
                "geometry looks beyond its reach");
        require(o.dy * kLag + o.dx < 0, "geometry looks at samples that are not yet coded");
    };
    for (Offset o : g.base) own(o);
    for (Offset o : g.taps) own(o);
    for (Offset o : g.errors) own(o);
    for (const auto &predictor : g.predictors)
        for (const Term &term : predictor) own(term.offset);
    for (const Window &w : g.windows)
        require(w.above >= 0 && w.above <= g.up && w.left >= 1 && w.left <= g.left &&
                    (!w.above || (w.right >= 0 && w.right < kLag && w.right <= g.right)),
                "geometry has a window beyond its reach");
    // Other planes are seen on all sides; the lanes of a track continue each other there.
    const auto reach = [&](std::vector<Offset> &offsets) {
        int furthest = 0;
        for (Offset &o : offsets) {
            if (!g.plane) o.dy = 0;
            furthest = std::max({furthest, std::abs(o.dy), std::abs(o.dx)});
        }
        require(furthest <= 8, "geometry looks beyond its reach");
        return furthest;
    };
    reference_reach_ = std::max(1, reach(g.reference_taps));
    error_reach_ = reach(g.reference_errors);
    const int furthest = std::max({kPictureReach, reference_reach_, error_reach_});
    layout_.left = std::max(layout_.left, furthest);
    layout_.right = std::max(layout_.right, furthest);
    if (!g.plane) return;
    layout_.up = std::max(layout_.up, furthest);
    layout_.down = furthest;
    require(layout_.up + layout_.down <= kLanes, "geometry reaches too far");
}

void Model::plan_looks() {
    const Geometry &g = geometry_;
    const auto look = [&](Offset o) { return Look{layout_.delta(o.dy, o.dx), o.dy < 0}; };
    const auto fill = [&](const std::vector<Offset> &from, size_t least, size_t most, Look *to) {
        require(from.size() >= least && from.size() <= most,
                "geometry has too few or too many offsets");
        std::transform(from.begin(), from.end(), to, look);
        return static_cast<int>(from.size());
    };
    Plan &p = plan_;
    p.row_above = layout_.delta(-1, 0);
    p.left = look({0, -1});
    p.above = look({-1, 0});
    p.base[0] = look(g.base[0]);
    p.base[1] = look(g.base[1]);
    p.n_taps = fill(g.taps, 24, kMaxOwnTaps, p.taps);
    p.n_own_taps = p.n_taps + (p.has_picture ? kPictureTaps : 0);
    p.n_errors = fill(g.errors, 2, kMaxErrors, p.errors);
    require(g.error_weights.size() == g.errors.size(), "every error needs a weight");
    std::copy(g.error_weights.begin(), g.error_weights.end(), p.error_weights);
    int total = 0;
    for (int weight : g.error_weights) {
        require(weight >= 0, "error weights are not negative");
        total += weight;
    }
    require(total == 8, "error weights sum to 8");

    require(!g.windows.empty() && g.windows.size() <= kMaxWindows, "geometry has too many windows");
    for (const Window &w : g.windows) {
        require(w.count() <= 128, "a window has more than 128 samples");
        p.windows[p.n_windows++] = {w.above, layout_.delta(0, w.right),
                                    layout_.delta(0, -w.left - 1), w.count(),
                                    log2(static_cast<uint64_t>(w.count()))};
    }
    require(g.predictors.size() <= kMaxPredictors, "geometry has too many predictors");
    require(!g.predictors.empty() || !g.median, "the median needs a predictor");
    for (const auto &terms : g.predictors) {
        auto &to = p.predictors[p.n_predictors++];
        require(terms.size() <= kMaxTerms, "a predictor has too many terms");
        int sum = 0, size = 0;
        for (const Term &term : terms) {
            to.weights[to.n_terms] = term.weight;
            to.looks[to.n_terms++] = look(term.offset);
            sum += term.weight;
            size += std::abs(term.weight);
        }
        require(sum == 1 && size <= 8, "weights of a predictor sum to 1, at most 8 without signs");
    }
    for (int i = 0; i < kPictureTaps; ++i)
        p.picture_taps[i] = look({g.plane ? kPicture[i].dy : 0, kPicture[i].dx});
    p.picture_errors[0] = look({0, -1});
    p.picture_errors[1] = g.plane ? look({-1, 0}) : look({0, -2});
    p.reference_base[0] = look(g.base[0]);
    p.reference_base[1] = look(g.base[1]);
    p.n_reference_taps = fill(g.reference_taps, 0, kMaxReferenceTaps, p.reference_taps);
    p.n_reference_errors = fill(g.reference_errors, 1, kMaxErrors, p.reference_errors);

    require(g.n_described >= 0 && g.n_described <= p.n_predictors &&
                g.n_described >= static_cast<int>(g.median),
            "geometry describes predictors that it does not have");
    require(g.n_near >= 0 && g.n_near <= p.n_reference_taps,
            "geometry describes reference taps that it does not have");
    p.n_described = g.n_described;
    p.n_near = g.n_near;
    require(g.n_adaptive >= 0 && g.n_adaptive <= kMaxAdaptive && g.n_adaptive <= g.left &&
                (!g.n_adaptive || !g.plane),
            "geometry has an impossible adaptive filter");
    p.n_adaptive = g.n_adaptive;
    for (int k = 0; k < g.n_adaptive; ++k) p.adaptive[k] = look({0, -1 - k});
    p.n_gates = p.n_predictors + p.median + (p.n_adaptive > 0) + 1;
}

int Model::count_inputs(int n_references) const {
    const Plan &p = plan_;
    return 8 + 3 + 2 + 4 + p.n_errors + 3 + p.n_windows + p.median + p.n_described + 1 +
           2 * (p.n_adaptive > 0) +
           (p.has_picture ? kPictureTaps + 3 : 0) +
           n_references * (p.n_reference_errors + 3 + p.n_near);
}

void Model::add_network(const NetworkSource &source) {
    require(source.n_references >= 0 && source.n_references <= kMaxDescribed,
            "a network sees too many references");
    require(!source.layers.empty(), "a network has no layers");
    require(source.layers.front().n_in == static_cast<size_t>(count_inputs(source.n_references)),
            "a network takes another number of inputs");
    require(source.layers.back().n_out == static_cast<size_t>(3 + plan_.n_gates),
            "a network has another number of outputs");
    require(source.input_lo <= -127 && source.input_hi >= 127, "network inputs reach +-127");
    networks_.push_back({source.n_references, static_cast<int>(source.layers.size()),
                         static_cast<int>(source.layers.front().n_in), nullptr});
    describes_references_ |= source.n_references > 0;
    size_t n_before = 0;
    int32_t lo = -127, hi = 127;
    for (const LayerSource &layer : source.layers) {
        require(!n_before || n_before >= layer.n_in, "layers do not fit together");
        add_layer(layer, lo, hi);
        n_before = static_cast<size_t>(layers_.back().n_out);
        lo = layer.lo;
        hi = layer.hi;
    }
}

void Model::add_layer(const LayerSource &source, int32_t lo, int32_t hi) {
    require(lo >= INT16_MIN && hi <= INT16_MAX, "what passes between layers must fit 16 bits");
    require(source.n_in > 0 && source.n_out > 0, "a layer is empty");
    const size_t blocks = (source.n_out + kOutputBlock - 1) / kOutputBlock;
    const size_t n_out = blocks * kOutputBlock, n_pairs = (source.n_in + 1) / 2;
    LayerStore store;
    store.weights.assign(n_out * n_pairs, 0);
    store.bias.assign(n_out, 0);
    store.shift.assign(n_out, 1);
    for (size_t o = 0; o < source.n_out; ++o) {
        store.bias[o] = source.bias[o];
        store.shift[o] = source.shift[o];
        require(source.shift[o] >= 1 && source.shift[o] <= 31, "a layer shifts by 1 to 31");
        for (size_t k = 0; k < source.n_in; ++k) {
            const auto weight = static_cast<uint16_t>(int16_t{source.weights[o * source.n_in + k]});
            int32_t &pair = store.weights[(o / kOutputBlock * n_pairs + k / 2) * kOutputBlock +
                                          o % kOutputBlock];
            pair = static_cast<int32_t>(static_cast<uint32_t>(pair) |
                                        uint32_t{weight} << (k % 2 ? 16 : 0));
        }
    }
    layers_.push_back({static_cast<int>(source.n_in), static_cast<int>(n_out), nullptr, nullptr,
                       nullptr, source.lo, source.hi});
    stores_.push_back(std::move(store));
    widest_ = std::max({widest_, n_out, 2 * n_pairs});
}

int32_t Model::log2(uint64_t value) const {
    const int exponent = bit_length(value | 1) - 1;
    const uint64_t step = exponent >= 6 ? value >> (exponent - 6) : value << (6 - exponent);
    return 32 * exponent + plan_.logs[step & 63];
}

}  // namespace latrans
