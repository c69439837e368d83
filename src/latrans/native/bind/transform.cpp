// The lossy transform's bands on NumPy arrays: twins of what transform/backend.py defines.
#include <mutex>
#include <optional>
#include <vector>

#include <nanobind/stl/string.h>

#include "gil.h"
#include "rans/coder.h"
#include "transform/arena.h"
#include "transform/quantise.h"
#include "transform/restore.h"
#include "transform/write.h"
#include "transform_bands.h"

namespace {

using namespace latrans;

using Bytes = Array<uint8_t, 2>;

Cpu level_of(const std::string &asked) {
    for (Cpu level : {Cpu::portable, Cpu::avx2, Cpu::avx512})
        if (asked == name(level) && level <= best_cpu()) return level;
    if (!asked.empty()) throw nb::value_error("this machine has no such instruction set");
    return cpu();
}

class Model {
public:
    Model(const std::vector<LayerArgs> &layers, Array<uint16_t, 2> tables,
          Array<uint16_t, 2> signs, Array<int8_t, 2> sign_weights, Array<int8_t, 2> centroids,
          Array<double, 2> costs, Array<int16_t, 2> prediction, Array<int64_t, 1> logs,
          const std::string &level)
        : model(views(layers), tables.data(), tables.shape(0), tables.shape(1),
                checked(logs.data(), logs.shape(0) == 64), level_of(level)) {
        const size_t n_rows = sign_weights.shape(0);
        if (signs.shape(1) != 2 || signs.shape(0) != n_rows * kSignTables ||
            sign_weights.shape(1) != kSignNeighbours || centroids.shape(0) != kClasses ||
            centroids.shape(1) != kCentroids || costs.shape(0) != kClasses ||
            costs.shape(1) != kTokens || prediction.shape(1) != 3)
            throw nb::value_error("parts do not fit the transform");
        for (size_t row = 0; row < n_rows; ++row) {
            TransformSigns told{};
            for (int i = 0; i < kSignTables; ++i) {
                const size_t table = row * kSignTables + static_cast<size_t>(i);
                const uint16_t *of = signs.data() + 2 * table;
                if (of[0] < 1 || of[1] < 1 || of[0] + of[1] != static_cast<int>(kProbabilities))
                    throw nb::value_error("a table of signs does not sum to 4096");
                told.first[i] = of[0];
            }
            std::copy_n(sign_weights.data() + row * kSignNeighbours, kSignNeighbours, told.weights);
            signs_.push_back(told);
        }
        centroids_.assign(centroids.data(), centroids.data() + centroids.size());
        choice_.costs.assign(costs.data(), costs.data() + costs.size());
        for (const int8_t c : centroids_) choice_.shifts.push_back(c / 256.0);
        for (size_t i = 0; i < prediction.size(); ++i) prediction_.push_back(prediction.data()[i]);
    }

    auto read(RansDecoder &decoder, size_t rows, size_t columns, const Around &around, Known known,
              size_t sign_row) const {
        const Placed placed(model, rows, columns, around, known);
        const TransformSigns &signs = signs_of(sign_row);
        if (decoder.n_states() > kTransformLanes)
            throw nb::value_error("a transform's stream has a state for each lane at most");
        Owned<int32_t> values(rows, columns);
        Owned<uint8_t> classes(rows, columns);
        {
            const latrans::GilReleased release;
            const std::lock_guard lock(decoder.mutex);
            Arena arena;
            Stream stream = decoder.stream();
            model.kernel.read({placed.band, &stream, model.tables.slots(0),
                               model.tables.intervals(0), signs.first, signs.weights, values.get(),
                               classes.get()},
                              arena);
            decoder.go_on(stream);
        }
        return nb::make_tuple(values.array(), classes.array());
    }

    nb::object classify(size_t rows, size_t columns, const Around &around, Known known,
                        Array<int64_t, 2> magnitudes, std::optional<Array<bool, 2>> wanted) const {
        const Placed placed(model, rows, columns, around, known);
        if (magnitudes.size() != rows * columns ||
            (wanted && wanted->size() != rows * columns))
            throw nb::value_error("magnitudes do not fit the band");
        Owned<uint8_t> classes(rows, columns);
        {
            const latrans::GilReleased release;
            Arena arena;
            std::vector<uint16_t> sizes;
            for (size_t i = 0; i < rows * columns; ++i)
                sizes.push_back(static_cast<uint16_t>(
                    std::min<int64_t>(std::max<int64_t>(magnitudes.data()[i], 0), 2047)));
            const auto *some =
                wanted ? reinterpret_cast<const uint8_t *>(wanted->data()) : nullptr;
            const size_t stride = (columns + 63) / 64 * 64;
            std::vector<uint32_t> places(kPlaceQuads * stride * rows);
            model.kernel.inputs(placed.band, places.data(), stride, arena);
            model.kernel.classify(placed.band, places.data(), stride, sizes.data(), some,
                                  classes.get(), arena);
            for (size_t i = 0; some && i < rows * columns; ++i)
                if (!some[i]) classes.get()[i] = 0;
        }
        return classes.array();
    }

    // Gain, code, values and classes; `weights` is the row of the prediction's, or negative.
    nb::object quantise(size_t rows, size_t columns, const Around &around, Known known, bool is_low,
                        const Integers &coefficients, int weights, bool vertical) const {
        const Placed placed(model, rows, columns, around, known);
        if (coefficients.shape(0) != rows || coefficients.shape(1) != columns ||
            (weights >= 0 && placed.band.low && is_wide(coefficients) != placed.band.wide))
            throw nb::value_error("coefficients do not fit the band");
        const auto quantised = [&](auto none) {
            return quantise_as<decltype(none)>(placed.band, known, is_low, coefficients, weights,
                                               vertical);
        };
        return is_wide(coefficients) ? quantised(int64_t{}) : quantised(int32_t{});
    }

    // Coefficients in the unit of `step`, 32 bits wide if the picture is and they surely fit.
    nb::object restore(Values values, Bytes classes, const std::optional<Integers> &low,
                       int weights, bool vertical, int gain, int64_t step) const {
        const size_t n = values.size();
        if (classes.shape(0) != values.shape(0) || classes.shape(1) != values.shape(1))
            throw nb::value_error("classes do not fit the band");
        int64_t most = 0;
        for (size_t i = 0; i < n; ++i) {
            most = std::max(most, std::abs(int64_t{values.data()[i]}));
            if (classes.data()[i] >= kClasses) throw nb::value_error("no such class");
        }
        const bool wide = (low && is_wide(*low)) || (most + 1) > (int64_t{1} << 28) / step;
        const bool predicted = weights >= 0 && gain > 0;
        if (predicted && (!low || is_wide(*low) != wide)) {
            if (!low || !wide) throw nb::value_error("a prediction needs a picture");
            Owned<int64_t> copy(low->shape(0), low->shape(1));
            const auto *from = static_cast<const int32_t *>(low->data());
            std::copy_n(from, low->size(), copy.get());
            return restore_as<int64_t>(values, classes, copy.get(), low->shape(0), low->shape(1),
                                       weights, vertical, gain, step);
        }
        const size_t low_rows = low ? low->shape(0) : 0, low_columns = low ? low->shape(1) : 0;
        const void *data = predicted ? low->data() : nullptr;
        return wide ? restore_as<int64_t>(values, classes, data, low_rows, low_columns, weights,
                                          vertical, gain, step)
                    : restore_as<int32_t>(values, classes, data, low_rows, low_columns, weights,
                                          vertical, gain, step);
    }

    void write(TransformWriter &writer, Values values, Bytes classes, size_t sign_row) const {
        const TransformSigns &signs = signs_of(sign_row);
        bool fits = classes.shape(0) == values.shape(0) && classes.shape(1) == values.shape(1);
        for (size_t i = 0; fits && i < values.size(); ++i)
            fits = std::abs(int64_t{values.data()[i]}) < 1 << 24 && classes.data()[i] < kClasses;
        if (!fits) throw nb::value_error("values do not fit the transform");
        const latrans::GilReleased release;
        writer.push_band(model, signs, values.data(), classes.data(), values.shape(0),
                         values.shape(1));
    }

private:
    template <class T>
    nb::object quantise_as(const TransformBand &band, const Known &known, bool is_low,
                           const Integers &coefficients, int weights, bool vertical) const {
        TransformChoice found;
        {
            const latrans::GilReleased release;
            Arena arena;
            std::vector<T> prediction;
            if (weights >= 0) {
                prediction.resize(band.rows * band.columns);
                predict(band.low, band.low_rows, band.low_columns, band.wide, weights, vertical,
                        band.rows, band.columns, prediction.data(), arena);
            }
            found = choose_values<T>(model, choice_, band, known.data(), is_low,
                                     static_cast<const T *>(coefficients.data()),
                                     prediction.empty() ? nullptr : prediction.data(), arena);
        }
        Owned<int32_t> values(band.rows, band.columns);
        Owned<uint8_t> classes(band.rows, band.columns);
        std::copy(found.values.begin(), found.values.end(), values.get());
        std::copy(found.classes.begin(), found.classes.end(), classes.get());
        return nb::make_tuple(found.gain, found.code, values.array(), classes.array());
    }

    template <class T>
    nb::object restore_as(const Values &values, const Bytes &classes, const void *low,
                          size_t low_rows, size_t low_columns, int weights, bool vertical, int gain,
                          int64_t step) const {
        Owned<T> out(values.shape(0), values.shape(1));
        {
            const latrans::GilReleased release;
            T *to = out.get();
            const size_t n = values.size();
            if (low) {
                Arena arena;
                predict(low, low_rows, low_columns, sizeof(T) == 8, weights, vertical,
                        values.shape(0), values.shape(1), to, arena);
                scale(to, n, gain);
            }
            add_values(values.data(), classes.data(), n, centroids_.data(), step, to);
        }
        return out.array();
    }

    void predict(const void *low, size_t low_rows, size_t low_columns, bool wide, int weights,
                 bool vertical, size_t rows, size_t columns, void *out, Arena &arena) const {
        const int32_t *row = &prediction_[static_cast<size_t>(weights) * 3];
        model.kernel.predict({low, low_rows, low_columns, wide, vertical, rows, columns, row, out},
                             arena);
    }

    const TransformSigns &signs_of(size_t row) const {
        if (row >= signs_.size()) throw nb::value_error("no such row of signs");
        return signs_[row];
    }

    static std::vector<TransformLayerView> views(const std::vector<LayerArgs> &layers) {
        std::vector<TransformLayerView> out;
        for (const auto &[weight, bias, shift, lo, hi] : layers) {
            if (bias.shape(0) != weight.shape(0) || shift.shape(0) != weight.shape(0))
                throw nb::value_error("layer does not fit its network");
            out.push_back({weight.data(), bias.data(), shift.data(), weight.shape(1),
                           weight.shape(0), lo, hi});
        }
        return out;
    }
    static const int64_t *checked(const int64_t *logs, bool fits) {
        if (!fits) throw nb::value_error("the table of logarithms has 64 entries");
        return logs;
    }

    TransformModel model;
    std::vector<TransformSigns> signs_;
    std::vector<int8_t> centroids_;
    TransformCosts choice_;
    std::vector<int32_t> prediction_;
};

}  // namespace

void bind_transform_lifting(nb::module_ &module);
void bind_transform_stream(nb::module_ &module);

void bind_transform(nb::module_ &module) {
    bind_transform_stream(module);
    nb::class_<Model>(module, "TransformModel")
        .def(nb::init<const std::vector<LayerArgs> &, Array<uint16_t, 2>, Array<uint16_t, 2>,
                      Array<int8_t, 2>, Array<int8_t, 2>, Array<double, 2>, Array<int16_t, 2>,
                      Array<int64_t, 1>, const std::string &>())
        .def("read", &Model::read)
        .def("classify", &Model::classify, nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(),
             nb::arg().none())
        .def("quantise", &Model::quantise)
        .def("restore", &Model::restore, nb::arg(), nb::arg(), nb::arg().none(), nb::arg(),
             nb::arg(), nb::arg(), nb::arg())
        .def("write", &Model::write);
    bind_transform_lifting(module);
}
