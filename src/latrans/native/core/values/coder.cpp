#include "values/coder.h"

#include <algorithm>

#include "require.h"

namespace latrans {

namespace {

constexpr size_t kSites = kLanes;
constexpr size_t kAlone = 2;  // so many items are faster one by one than side by side

uint8_t position(size_t index, size_t n) {
    return static_cast<uint8_t>(std::min(index, n - 1) * 255 / std::max<size_t>(1, n - 1));
}

}  // namespace

// Some items side by side (`stride` bytes per pixel), each inside its margins, and their pictures.
class ValueGroup {
public:
    ValueGroup(const ValueModel &model, size_t stride)
        : model_(model),
          stride_(stride),
          width_(model.margin_.left + model.columns_ + model.margin_.right),
          height_(model.margin_.up + model.rows_ + model.margin_.down),
          // Pictures lie behind the items, so that all inputs of a pixel are at fixed distances.
          bytes_(2 * height_ * width_ * stride + kSites),
          inputs_(model.network_.n_filled(), zeros_) {
        const auto row = static_cast<ptrdiff_t>(width_ * stride);
        const auto add = [&](Offset o, ptrdiff_t from) {
            distances_.push_back(from + o.dy * row + o.dx * static_cast<ptrdiff_t>(stride));
        };
        for (Offset o : model.taps_) add(o, 0);
        for (Offset o : model.picture_taps_) add(o, row * static_cast<ptrdiff_t>(height_));
    }

    // Reads an item, or its picture, into one of the lanes.
    void enter(size_t lane, const uint8_t *item) { fill(at(0, 0) + lane, item); }
    void enter_picture(size_t lane, const uint8_t *picture) {
        fill(at(height_, 0) + lane, picture);
    }

    // The lanes' values at a pixel.
    uint8_t *at(size_t y, size_t x) {
        return &bytes_[((y + model_.margin_.up) * width_ + x + model_.margin_.left) * stride_];
    }

    // Classes of the kSites bytes from a pixel on: of as many items, or of pixels of one.
    void classify(size_t y, size_t x, int32_t *const rows[2], int32_t *classes) {
        const uint8_t *from = at(y, x);
        const size_t n = distances_.size();
        for (size_t i = 0; i < n; ++i) inputs_[i] = from + distances_[i];
        uint8_t row[kSites], column[kSites];
        for (size_t lane = 0; lane < kSites; ++lane) {
            row[lane] = model_.row_places_[y];
            column[lane] = model_.column_places_[stride_ == 1 ? x + lane : x];
        }
        inputs_[n] = row;
        inputs_[n + 1] = column;
        model_.network_.classify(inputs_.data(), rows, classes);
    }

    // Class of a pixel of the one item there is.
    size_t classify_one(size_t y, size_t x, int32_t *const rows[2]) {
        const uint8_t places[2] = {model_.row_places_[y], model_.column_places_[x]};
        return model_.network_.classify_one(at(y, x), distances_, places, rows);
    }

private:
    void fill(uint8_t *to, const uint8_t *from) {
        for (size_t y = 0; y < model_.rows_; ++y)
            for (size_t x = 0; x < model_.columns_; ++x) to[(y * width_ + x) * stride_] = *from++;
    }

    static constexpr uint8_t zeros_[kSites] = {};
    const ValueModel &model_;
    const size_t stride_, width_, height_;
    std::vector<uint8_t> bytes_;
    std::vector<ptrdiff_t> distances_;
    std::vector<const uint8_t *> inputs_;
};

ValueModel::ValueModel(const ValueSource &source)
    : rows_(source.rows),
      columns_(source.columns),
      taps_(source.taps),
      picture_taps_(source.picture_taps),
      kernel_(*source.kernel),
      network_(source.layers, 0, 255, *source.kernel),
      tables_(source.frequencies, source.n_classes, kValueSymbols) {
    require(rows_ >= 1 && columns_ >= 1 && rows_ <= 1 << 15 && columns_ <= 1 << 15,
            "impossible shape of a sample");
    for (Offset o : taps_)
        require(o.dy < 0 || (o.dy == 0 && o.dx < 0), "a tap is not decoded before its sample");
    const auto reach = [](size_t &margin, int distance) {
        require(distance <= 64, "a tap is too far away");
        margin = std::max(margin, static_cast<size_t>(std::max(distance, 0)));
    };
    for (const auto *offsets : {&taps_, &picture_taps_})
        for (Offset o : *offsets) {
            reach(margin_.up, -o.dy);
            reach(margin_.down, o.dy);
            reach(margin_.left, -o.dx);
            reach(margin_.right, o.dx);
        }
    require(network_.n_in() == taps_.size() + picture_taps_.size() + 2,
            "the network takes another number of inputs");
    const size_t n_classes = source.n_classes;
    require(network_.n_out() == n_classes && n_classes >= 1 && n_classes <= 1 << 16,
            "the network has another number of outputs than there are tables");
    for (size_t y = 0; y < rows_; ++y) row_places_.push_back(position(y, rows_));
    for (size_t x = 0; x < columns_ + kSites; ++x)
        column_places_.push_back(position(x, columns_));
    for (size_t table = 0; table < n_classes; ++table)
        require(tables_.intervals(table)[kValueEscape].frequency,
                "a table has no room for escapes");
}

std::vector<uint16_t> ValueModel::classify(const uint8_t *items, const uint8_t *pictures,
                                           size_t n) const {
    std::vector<uint16_t> found(area() * n);
    const NetworkRows work(network_.widest());
    int32_t classes[kSites];
    size_t i = 0;
    if (n >= kSites) {
        ValueGroup group(*this, kSites);
        for (; i + kSites <= n; i += kSites) {
            for (size_t lane = 0; lane < kSites; ++lane) {
                group.enter(lane, items + (i + lane) * area());
                group.enter_picture(lane, pictures + (i + lane) * area());
            }
            for (size_t p = 0; p < area(); ++p) {
                group.classify(p / columns_, p % columns_, work.rows, classes);
                for (size_t lane = 0; lane < kSites; ++lane)
                    found[(i + lane) * area() + p] = static_cast<uint16_t>(classes[lane]);
            }
        }
    }
    ValueGroup group(*this, 1);
    for (; i < n; ++i) {
        group.enter(0, items + i * area());
        group.enter_picture(0, pictures + i * area());
        uint16_t *to = &found[i * area()];
        for (size_t y = 0; y < rows_; ++y)
            for (size_t x = 0; x < columns_; x += kSites) {
                const size_t here = std::min(kSites, columns_ - x);
                group.classify(y, x, work.rows, classes);
                for (size_t lane = 0; lane < here; ++lane)
                    *to++ = static_cast<uint16_t>(classes[lane]);
            }
    }
    return found;
}

std::vector<uint8_t> ValueModel::encode(const uint8_t *items, const uint8_t *pictures, size_t n,
                                        size_t n_states) const {
    return encode_classes(items, classify(items, pictures, n).data(), n, n_states);
}

std::vector<uint8_t> ValueModel::encode_classes(const uint8_t *items, const uint16_t *classes,
                                                size_t n, size_t n_states) const {
    RansEncoder encoder(n_states);
    for (size_t p = area(); p-- > 0;)
        for (size_t i = n; i-- > 0;) {
            const Interval *intervals = tables_.intervals(classes[i * area() + p]);
            const uint8_t value = items[i * area() + p];
            Interval interval = intervals[value];
            if (!interval.frequency) {
                encoder.push_raw(i % n_states, value, 8);
                interval = intervals[kValueEscape];
            }
            encoder.push(i % n_states, interval.start, interval.frequency, kProbabilityBits);
        }
    return encoder.finish();
}

template <class DecoderOf, class StateOf>
void ValueModel::decode_from(const uint8_t *pictures, size_t n, uint8_t *items,
                             DecoderOf &&decoder_of, StateOf &&state_of) const {
    std::vector<ValueGroup> groups;
    std::vector<size_t> firsts;
    for (size_t first = 0; first < n;) {
        const bool alone = n - first <= kAlone;
        const size_t here = alone ? 1 : std::min(kSites, n - first);
        groups.emplace_back(*this, alone ? 1 : kSites);
        for (size_t i = 0; i < here; ++i)
            groups.back().enter_picture(i, pictures + (first + i) * area());
        firsts.push_back(first);
        first += here;
    }
    firsts.push_back(n);
    const NetworkRows work(network_.widest());
    const auto pop = [&](size_t item, size_t table) {
        RansDecoder &decoder = decoder_of(item);
        const size_t which = state_of(item);
        uint32_t value = decoder.pop(which, tables_.slots(table), tables_.intervals(table));
        if (value == kValueEscape) value = decoder.pop_raw(which, 8);
        return static_cast<uint8_t>(value);
    };
    int32_t classes[kSites];
    for (size_t p = 0; p < area(); ++p) {
        const size_t y = p / columns_, x = p % columns_;
        for (size_t g = 0; g < groups.size(); ++g) {
            const size_t first = firsts[g], here = firsts[g + 1] - first;
            uint8_t *lanes = groups[g].at(y, x);
            if (n - first <= kAlone)
                classes[0] = static_cast<int32_t>(groups[g].classify_one(y, x, work.rows));
            else
                groups[g].classify(y, x, work.rows, classes);
            for (size_t i = 0; i < here; ++i) {
                lanes[i] = pop(first + i, static_cast<size_t>(classes[i]));
                items[(first + i) * area() + p] = lanes[i];
            }
        }
    }
}

void ValueModel::decode(RansDecoder &decoder, const uint8_t *pictures, size_t n,
                        uint8_t *items) const {
    const size_t n_states = decoder.n_states();
    decode_from(
        pictures, n, items, [&](size_t) -> RansDecoder & { return decoder; },
        [&](size_t item) { return item % n_states; });
}

void ValueModel::decode_each(std::deque<RansDecoder> &decoders, const uint8_t *pictures,
                             uint8_t *items) const {
    decode_from(
        pictures, decoders.size(), items,
        [&](size_t item) -> RansDecoder & { return decoders[item]; }, [](size_t) { return 0; });
    for (const RansDecoder &decoder : decoders) decoder.finish();
}

}  // namespace latrans
