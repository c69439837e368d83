#include "residual_values.h"

#include <algorithm>
#include <stdexcept>

#include "residual_kernels.h"
#include "residual_levels.h"

namespace latrans {

namespace {

void require(bool holds, const char *what) {
    if (!holds) throw std::invalid_argument(what);
}

int32_t position(size_t index, size_t n) {
    return static_cast<int32_t>(index * 255 / std::max<size_t>(1, n - 1));
}

}  // namespace

const ValueKernel *value_kernel(const std::string &name) {
    for (const Kernel *usable : kernels()) {
        if (!name.empty() && name != usable->name) continue;
        for (const ValueKernel *kernel : {
#ifdef LATRANS_X86_LEVELS
                 &values_vnni, &values_avx512, &values_avx2,
#endif
                 &values_base})
            if (kernel->name == std::string(usable->name)) return kernel;
    }
    return nullptr;
}

// Up to 16 items side by side, each inside its margins, and what the kernel works on.
class ValueGroup {
public:
    ValueGroup(const ValueModel &model, const uint8_t *pictures, size_t n)
        : model_(model),
          n_(n),
          width_(model.left_ + model.columns_ + model.right_),
          picture_width_(model.columns_ + 2 * model.around_),
          values_((model.up_ + model.rows_) * width_ * kLanes),
          pictures_((model.rows_ + 2 * model.around_) * picture_width_ * kLanes) {
        for (size_t i = 0; i < n; ++i)
            for (size_t y = 0; y < model.rows_; ++y)
                for (size_t x = 0; x < model.columns_; ++x)
                    picture_at(y, x)[i] = *pictures++;
    }

    size_t size() const { return n_; }

    // The lanes' values at a pixel.
    uint8_t *at(size_t y, size_t x) {
        return &values_[((y + model_.up_) * width_ + x + model_.left_) * kLanes];
    }

    void classify(size_t y, size_t x, int32_t *const rows[2], int32_t *classes) {
        int32_t *row = rows[0];
        const auto emit = [&](const uint8_t *lanes) {
            for (int i = 0; i < kLanes; ++i) *row++ = lanes[i];
        };
        const auto width = static_cast<ptrdiff_t>(width_);
        const auto picture_width = static_cast<ptrdiff_t>(picture_width_);
        for (Offset o : model_.taps_) emit(at(y, x) + (o.dy * width + o.dx) * kLanes);
        for (Offset o : model_.picture_taps_)
            emit(picture_at(y, x) + (o.dy * picture_width + o.dx) * kLanes);
        std::fill_n(row, kLanes, position(y, model_.rows_));
        std::fill_n(row + kLanes, kLanes, position(x, model_.columns_));
        model_.kernel_->run(model_.layers_.data(), static_cast<int>(model_.layers_.size()),
                            static_cast<int>(model_.n_classes_), rows, classes);
    }

private:
    uint8_t *picture_at(size_t y, size_t x) {
        return &pictures_[((y + model_.around_) * picture_width_ + x + model_.around_) * kLanes];
    }

    const ValueModel &model_;
    const size_t n_, width_, picture_width_;
    std::vector<uint8_t> values_, pictures_;
};

ValueModel::ValueModel(const ValueSource &source)
    : rows_(source.rows),
      columns_(source.columns),
      n_classes_(source.n_classes),
      taps_(source.taps),
      picture_taps_(source.picture_taps),
      tables_(source.frequencies, source.n_classes, kValueSymbols),
      kernel_(source.kernel) {
    require(rows_ >= 1 && columns_ >= 1 && rows_ <= 1 << 15 && columns_ <= 1 << 15,
            "impossible shape of a sample");
    const auto reach = [](size_t &margin, int distance) {
        require(distance <= 64, "a tap is too far away");
        margin = std::max(margin, static_cast<size_t>(std::max(distance, 0)));
    };
    for (Offset o : taps_) {
        require(o.dy < 0 || (o.dy == 0 && o.dx < 0), "a tap is not decoded before its sample");
        reach(up_, -o.dy);
        reach(left_, -o.dx);
        reach(right_, o.dx);
    }
    for (Offset o : picture_taps_)
        for (int distance : {-o.dy, o.dy, -o.dx, o.dx}) reach(around_, distance);
    require(!source.layers.empty(), "the network has no layers");
    require(source.layers.front().n_in == taps_.size() + picture_taps_.size() + 2,
            "the network takes another number of inputs");
    require(source.layers.back().n_out == n_classes_ && n_classes_ >= 1 && n_classes_ <= 1 << 16,
            "the network has another number of outputs than there are tables");
    int32_t lo = 0, hi = 255;
    size_t n_before = source.layers.front().n_in;
    for (const LayerSource &layer : source.layers) {
        require(layer.n_in == n_before, "layers do not fit together");
        add_layer(layer, lo, hi);
        n_before = layer.n_out;
        lo = layer.lo;
        hi = layer.hi;
    }
    for (size_t i = 0; i < layers_.size(); ++i) {
        layers_[i].weights = stores_[i].weights.data();
        layers_[i].bias = stores_[i].bias.data();
        layers_[i].shift = stores_[i].shift.data();
    }
    for (size_t table = 0; table < n_classes_; ++table)
        require(tables_.intervals(table)[kValueEscape].frequency,
                "a table has no room for escapes");
}

// Weights as residual_network.h wants them: two inputs of kOutputBlock outputs side by side.
void ValueModel::add_layer(const LayerSource &source, int32_t lo, int32_t hi) {
    require(lo >= INT16_MIN && hi <= INT16_MAX, "what passes between layers must fit 16 bits");
    const size_t blocks = (source.n_out + kOutputBlock - 1) / kOutputBlock;
    const size_t n_out = blocks * kOutputBlock, n_pairs = (source.n_in + 1) / 2;
    Store store{std::vector<int32_t>(n_out * n_pairs), std::vector<int32_t>(n_out),
                std::vector<int32_t>(n_out, 1)};
    for (size_t o = 0; o < source.n_out; ++o) {
        require(source.shift[o] >= 1 && source.shift[o] <= 31, "a layer shifts by 1 to 31");
        store.bias[o] = source.bias[o];
        store.shift[o] = source.shift[o];
        int32_t *to = &store.weights[o / kOutputBlock * n_pairs * kOutputBlock + o % kOutputBlock];
        for (size_t k = 0; k < source.n_in; ++k) {
            const auto weight = static_cast<uint16_t>(int16_t{source.weights[o * source.n_in + k]});
            int32_t &pair = to[k / 2 * kOutputBlock];
            pair = static_cast<int32_t>(static_cast<uint32_t>(pair) |
                                        uint32_t{weight} << (k % 2 ? 16 : 0));
        }
    }
    layers_.push_back({static_cast<int>(source.n_in), static_cast<int>(n_out), nullptr, nullptr,
                       nullptr, source.lo, source.hi});
    stores_.push_back(std::move(store));
    widest_ = std::max({widest_, n_out, 2 * n_pairs});
}

namespace {

// Where values pass from layer to layer.
struct Rows {
    explicit Rows(size_t widest) : values(2 * widest * kLanes) {
        rows[0] = values.data();
        rows[1] = values.data() + widest * kLanes;
    }
    std::vector<int32_t> values;
    int32_t *rows[2];
};

}  // namespace

std::vector<uint16_t> ValueModel::classify(const uint8_t *items, const uint8_t *pictures,
                                           size_t n) const {
    const size_t area = rows_ * columns_;
    std::vector<uint16_t> found(area * n);
    const Rows work(widest_);
    int32_t classes[kLanes];
    for (size_t first = 0; first < n; first += kLanes) {
        const size_t here = std::min<size_t>(kLanes, n - first);
        ValueGroup group(*this, pictures + first * area, here);
        for (size_t i = 0; i < here; ++i)
            for (size_t p = 0; p < area; ++p)
                group.at(p / columns_, p % columns_)[i] = items[(first + i) * area + p];
        for (size_t p = 0; p < area; ++p) {
            group.classify(p / columns_, p % columns_, work.rows, classes);
            std::copy_n(classes, here, &found[p * n + first]);
        }
    }
    return found;
}

std::vector<uint8_t> ValueModel::encode(const uint8_t *items, const uint8_t *pictures, size_t n,
                                        size_t n_states) const {
    const size_t area = rows_ * columns_;
    const std::vector<uint16_t> classes = classify(items, pictures, n);
    RansEncoder encoder(n_states);
    for (size_t p = area; p-- > 0;)
        for (size_t i = n; i-- > 0;) {
            const Interval *intervals = tables_.intervals(classes[p * n + i]);
            const uint8_t value = items[i * area + p];
            Interval interval = intervals[value];
            if (!interval.frequency) {
                encoder.push_raw(i % n_states, value, 8);
                interval = intervals[kValueEscape];
            }
            encoder.push(i % n_states, interval.start, interval.frequency, kProbabilityBits);
        }
    return encoder.finish();
}

void ValueModel::decode(RansDecoder &decoder, const uint8_t *pictures, size_t n,
                        uint8_t *items) const {
    const size_t area = rows_ * columns_, n_states = decoder.n_states();
    std::vector<ValueGroup> groups;
    for (size_t first = 0; first < n; first += kLanes)
        groups.emplace_back(*this, pictures + first * area, std::min<size_t>(kLanes, n - first));
    const Rows work(widest_);
    int32_t classes[kLanes];
    for (size_t p = 0; p < area; ++p) {
        const size_t y = p / columns_, x = p % columns_;
        size_t item = 0;
        for (ValueGroup &group : groups) {
            group.classify(y, x, work.rows, classes);
            uint8_t *lanes = group.at(y, x);
            for (size_t i = 0; i < group.size(); ++i, ++item) {
                const auto table = static_cast<size_t>(classes[i]);
                const size_t which = item % n_states;
                uint32_t value =
                    decoder.pop(which, tables_.slots(table), tables_.intervals(table));
                if (value == kValueEscape) value = decoder.pop_raw(which, 8);
                lanes[i] = static_cast<uint8_t>(value);
                items[item * area + p] = lanes[i];
            }
        }
    }
}

}  // namespace latrans
