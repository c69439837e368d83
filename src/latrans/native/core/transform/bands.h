// The lossy transform's bands: twins of what transform/protocol.py defines.
#pragma once
#include <cstdint>
#include <vector>

#include "rans/coder.h"
#include "transform/model.h"
#include "transform/quantise.h"
#include "transform/write.h"

namespace latrans {

// The picture at a band's level, int32, or int64 where wide; without data where there is none.
struct TransformPicture {
    const void *data;
    size_t rows, columns;
    bool wide;
};

// What is known around a band: at most two siblings and two earlier bands.
struct TransformAround {
    TransformGrid parent;
    std::vector<TransformGrid> siblings, earlier;
    TransformPicture low;
    int64_t step;
    const int8_t *known;  // kKnownInputs of them
};

// A band and what is around it, as kernels take it.
class PlacedBand {
public:
    // Throws std::invalid_argument.
    PlacedBand(const TransformModel &model, size_t rows, size_t columns,
               const TransformAround &around);
    PlacedBand(const PlacedBand &) = delete;

    const TransformBand &band() const { return band_; }
    const int8_t *known() const { return known_; }

private:
    TransformBand band_{};
    const int8_t *known_;
    std::vector<int32_t> bias_;
};

// What a model says of bands beside its network.
struct TransformParts {
    size_t n_sign_rows;
    const uint16_t *signs;       // (n_sign_rows * kSignTables, 2) frequencies
    const int8_t *sign_weights;  // (n_sign_rows, kSignNeighbours)
    const int8_t *centroids;     // (kClasses, kCentroids)
    const double *costs;         // (kClasses, kBandTokens)
    const int16_t *prediction;   // (n_prediction_rows, 3)
    size_t n_prediction_rows;
};

// How values become coefficients: the row of the prediction's weights, or negative, and its gain.
struct TransformRestoring {
    int weights;
    bool vertical;
    int gain;
    int64_t step;
};

// Made once, used from many threads.
class TransformBands {
public:
    // Throws std::invalid_argument where parts do not fit.
    TransformBands(const std::vector<TransformLayerView> &layers, const uint16_t *frequencies,
                   size_t n_tables, size_t n_symbols, const int64_t *logs,
                   const TransformParts &parts, Cpu level);

    const TransformModel &model() const { return model_; }

    // Values and classes of a band, (rows, columns) zeros at first.  The stream has at most
    // kTransformLanes states.
    void read(RansDecoder &decoder, const PlacedBand &placed, size_t sign_row, int32_t *values,
              uint8_t *classes) const;

    // Classes of what is wanted, zeros elsewhere; of everything without `wanted`.
    void classify(const PlacedBand &placed, const int64_t *magnitudes, const uint8_t *wanted,
                  uint8_t *classes) const;

    // Values of least cost; `weights` as in TransformRestoring.  T is int32_t or int64_t.
    template <class T>
    TransformChoice quantise(const PlacedBand &placed, bool is_low, const T *coefficients,
                             int weights, bool vertical) const;

    // Whether coefficients need 64 bits: those of a wide picture, or that may exceed 32.  Throws
    // std::invalid_argument where there is no such class.
    static bool needs_wide(const int32_t *values, const uint8_t *classes, size_t n, bool wide,
                           int64_t step);
    // Coefficients (rows, columns) in the unit of the step.  A picture is there where one is
    // predicted from, wide only if T is; T is int32_t or int64_t.
    template <class T>
    void restore(const int32_t *values, const uint8_t *classes, size_t rows, size_t columns,
                 const TransformPicture &low, const TransformRestoring &how, T *to) const;

    // Throws std::invalid_argument for magnitudes from 2^24 on, or classes that do not exist.
    void write(TransformWriter &writer, const int32_t *values, const uint8_t *classes, size_t rows,
               size_t columns, size_t sign_row) const;

private:
    const TransformSigns &signs_of(size_t row) const;
    void predict(const TransformPicture &low, int weights, bool vertical, size_t rows,
                 size_t columns, void *out, TransformArena &arena) const;

    TransformModel model_;
    std::vector<TransformSigns> signs_;
    std::vector<int8_t> centroids_;
    TransformCosts choice_;
    std::vector<int32_t> prediction_;  // rows of three weights
};

}  // namespace latrans
