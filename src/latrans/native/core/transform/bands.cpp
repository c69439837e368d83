#include "transform/bands.h"

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "require.h"

namespace latrans {

namespace {

// Zeroed memory, given back at once.
class Arena final : public TransformArena {
public:
    void *take(size_t nbytes) override {
        constexpr size_t align = 64;
        parts_.emplace_back(new uint8_t[nbytes + align]());
        const auto at = reinterpret_cast<uintptr_t>(parts_.back().get());
        return parts_.back().get() + (align - at % align) % align;
    }

private:
    std::vector<std::unique_ptr<uint8_t[]>> parts_;
};

// Coefficients from values: twin of `dequantise` in transform/quantise.py and of `scaled` in
// transform/predict.py.  64 bits, which damaged frames may exceed, wrap around.

// What is predicted, with a gain in quarters.
template <class T>
void scale(T *to, size_t n, int gain) {
    const auto g = static_cast<uint64_t>(gain);
    for (size_t i = 0; i < n; ++i)
        if constexpr (sizeof(T) == 8)
            to[i] = static_cast<T>(g * static_cast<uint64_t>(to[i]) + 2) >> 2;
        else
            to[i] = (gain * to[i] + 2) >> 2;
}

// Adds n values in steps; `centroids` (classes, kCentroids) shift the smaller ones.
template <class T>
void add_values(const int32_t *values, const uint8_t *classes, size_t n, const int8_t *centroids,
                int64_t step, T *to) {
    for (size_t i = 0; i < n; ++i) {
        if (!values[i]) continue;
        const auto m = static_cast<uint64_t>(std::abs(int64_t{values[i]}));
        const size_t which = std::min<size_t>(m, kCentroids) - 1;
        const int64_t shift = centroids[size_t{classes[i]} * kCentroids + which];
        const uint64_t whole = (m << 8) + static_cast<uint64_t>(shift);
        const auto scaled = static_cast<int64_t>(whole * static_cast<uint64_t>(step)) >> 8;
        const auto size = static_cast<uint64_t>(scaled);
        to[i] = static_cast<T>(static_cast<uint64_t>(to[i]) + (values[i] < 0 ? -size : size));
    }
}

}  // namespace

PlacedBand::PlacedBand(const TransformModel &model, size_t rows, size_t columns,
                       const TransformAround &around)
    : known_(around.known) {
    require(rows && columns && around.siblings.size() <= 2 && around.earlier.size() <= 2 &&
                around.step >= 1 && around.step <= int64_t{1} << 50,
            "surroundings do not fit a band");
    band_.rows = rows;
    band_.columns = columns;
    band_.parent = around.parent;
    std::copy(around.siblings.begin(), around.siblings.end(), band_.others);
    std::copy(around.earlier.begin(), around.earlier.end(), band_.others + 2);
    band_.step = around.step;
    if (const TransformPicture &low = around.low; low.data) {
        require(low.rows >= rows && low.columns >= columns &&
                    (low.wide || around.step <= int64_t{1} << 30),
                "the picture does not fit a band");
        band_.low = low.data;
        band_.low_rows = low.rows;
        band_.low_columns = low.columns;
        band_.wide = low.wide;
    }
    band_.logs = &model.logs;
    band_.network = &model.network;
    bias_ = model.first_bias(around.known);
    band_.first_bias = bias_.data();
}

TransformBands::TransformBands(const std::vector<TransformLayerView> &layers,
                               const uint16_t *frequencies, size_t n_tables, size_t n_symbols,
                               const int64_t *logs, const TransformParts &parts, Cpu level)
    : model_(layers, frequencies, n_tables, n_symbols, logs, level),
      centroids_(parts.centroids, parts.centroids + kClasses * kCentroids),
      prediction_(parts.prediction, parts.prediction + 3 * parts.n_prediction_rows) {
    for (size_t row = 0; row < parts.n_sign_rows; ++row) {
        TransformSigns signs{};
        for (int i = 0; i < kSignTables; ++i) {
            const uint16_t *of = parts.signs + 2 * (row * kSignTables + static_cast<size_t>(i));
            require(of[0] >= 1 && of[1] >= 1 && of[0] + of[1] == static_cast<int>(kProbabilities),
                    "a table of signs does not sum to 4096");
            signs.first[i] = of[0];
        }
        std::copy_n(parts.sign_weights + row * kSignNeighbours, kSignNeighbours, signs.weights);
        signs_.push_back(signs);
    }
    choice_.costs.assign(parts.costs, parts.costs + kClasses * kBandTokens);
    for (const int8_t c : centroids_) choice_.shifts.push_back(c / 256.0);
}

void TransformBands::read(RansDecoder &decoder, const PlacedBand &placed, size_t sign_row,
                          int32_t *values, uint8_t *classes) const {
    const TransformSigns &signs = signs_of(sign_row);
    require(decoder.n_states() <= kTransformLanes,
            "a transform's stream has a state for each lane at most");
    Arena arena;
    Stream stream = decoder.stream();
    model_.kernel.read({placed.band(), &stream, model_.tables.slots(0), model_.tables.intervals(0),
                        signs.first, signs.weights, values, classes},
                       arena);
    decoder.go_on(stream);
}

void TransformBands::classify(const PlacedBand &placed, const int64_t *magnitudes,
                              const uint8_t *wanted, uint8_t *classes) const {
    const size_t rows = placed.band().rows, columns = placed.band().columns;
    Arena arena;
    std::vector<uint16_t> sizes;
    for (size_t i = 0; i < rows * columns; ++i)
        sizes.push_back(static_cast<uint16_t>(
            std::min<int64_t>(std::max<int64_t>(magnitudes[i], 0), 2047)));
    const size_t stride = (columns + 63) / 64 * 64;
    std::vector<uint32_t> places(kPlaceQuads * stride * rows);
    model_.kernel.inputs(placed.band(), places.data(), stride, arena);
    model_.kernel.classify(placed.band(), places.data(), stride, sizes.data(), wanted, classes,
                           arena);
    for (size_t i = 0; wanted && i < rows * columns; ++i)
        if (!wanted[i]) classes[i] = 0;
}

template <class T>
TransformChoice TransformBands::quantise(const PlacedBand &placed, bool is_low,
                                         const T *coefficients, int weights, bool vertical) const {
    const TransformBand &band = placed.band();
    Arena arena;
    std::vector<T> prediction;
    if (weights >= 0) {
        require(!band.low || band.wide == (sizeof(T) == 8), "coefficients do not fit the band");
        prediction.resize(band.rows * band.columns);
        predict({band.low, band.low_rows, band.low_columns, band.wide}, weights, vertical,
                band.rows, band.columns, prediction.data(), arena);
    }
    return choose_values<T>(model_, choice_, band, placed.known(), is_low, coefficients,
                            prediction.empty() ? nullptr : prediction.data(), arena);
}

bool TransformBands::needs_wide(const int32_t *values, const uint8_t *classes, size_t n, bool wide,
                                int64_t step) {
    int64_t most = 0;
    for (size_t i = 0; i < n; ++i) {
        most = std::max(most, std::abs(int64_t{values[i]}));
        require(classes[i] < kClasses, "no such class");
    }
    return wide || most + 1 > (int64_t{1} << 28) / step;
}

template <class T>
void TransformBands::restore(const int32_t *values, const uint8_t *classes, size_t rows,
                             size_t columns, const TransformPicture &low,
                             const TransformRestoring &how, T *to) const {
    const size_t n = rows * columns;
    if (how.weights >= 0 && how.gain > 0) {
        constexpr bool wide = sizeof(T) == 8;
        require(low.data && (wide || !low.wide), "a prediction needs a picture");
        TransformPicture from = low;
        std::vector<int64_t> copy;
        if (wide && !low.wide) {
            const auto *narrow = static_cast<const int32_t *>(low.data);
            copy.assign(narrow, narrow + low.rows * low.columns);
            from = {copy.data(), low.rows, low.columns, true};
        }
        Arena arena;
        predict(from, how.weights, how.vertical, rows, columns, to, arena);
        scale(to, n, how.gain);
    }
    add_values(values, classes, n, centroids_.data(), how.step, to);
}

void TransformBands::write(TransformWriter &writer, const int32_t *values, const uint8_t *classes,
                           size_t rows, size_t columns, size_t sign_row) const {
    const TransformSigns &signs = signs_of(sign_row);
    for (size_t i = 0; i < rows * columns; ++i)
        require(std::abs(int64_t{values[i]}) < 1 << 24 && classes[i] < kClasses,
                "values do not fit the transform");
    writer.push_band(model_, signs, values, classes, rows, columns);
}

const TransformSigns &TransformBands::signs_of(size_t row) const {
    require(row < signs_.size(), "no such row of signs");
    return signs_[row];
}

void TransformBands::predict(const TransformPicture &low, int weights, bool vertical, size_t rows,
                             size_t columns, void *out, TransformArena &arena) const {
    const int32_t *row = &prediction_[static_cast<size_t>(weights) * 3];
    model_.kernel.predict(
        {low.data, low.rows, low.columns, low.wide, vertical, rows, columns, row, out}, arena);
}

template TransformChoice TransformBands::quantise(const PlacedBand &, bool, const int32_t *, int,
                                                  bool) const;
template TransformChoice TransformBands::quantise(const PlacedBand &, bool, const int64_t *, int,
                                                  bool) const;
template void TransformBands::restore(const int32_t *, const uint8_t *, size_t, size_t,
                                      const TransformPicture &, const TransformRestoring &,
                                      int32_t *) const;
template void TransformBands::restore(const int32_t *, const uint8_t *, size_t, size_t,
                                      const TransformPicture &, const TransformRestoring &,
                                      int64_t *) const;

}  // namespace latrans
