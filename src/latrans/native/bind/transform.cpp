// Bindings of the lossy transform: arguments are checked here, then run without the GIL.
#include "transform/bands.h"

#include <mutex>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "arrays.h"
#include "bindings.h"
#include "gil.h"
#include "require.h"

namespace nb = nanobind;
using namespace latrans;

namespace {

using Bytes = Array<uint8_t, 2>;
using Values = Array<int32_t, 2>;
using Known = Array<int8_t, 1>;
// Parent, siblings, earlier ones, the picture at the band's level, the band's step.
using AroundArgs = std::tuple<std::optional<Values>, std::vector<Values>, std::vector<Values>,
                              std::optional<Integers>, int64_t>;

Cpu level_of(const std::string &asked) {
    for (Cpu level : {Cpu::portable, Cpu::avx2, Cpu::avx512})
        if (asked == name(level) && level <= best_cpu()) return level;
    require(asked.empty(), "this machine has no such instruction set");
    return cpu();
}

std::vector<TransformLayerView> views(const std::vector<LayerArgs> &layers) {
    std::vector<TransformLayerView> out;
    for (const auto &[weight, bias, shift, lo, hi] : layers) {
        require(bias.shape(0) == weight.shape(0) && shift.shape(0) == weight.shape(0),
                "layer does not fit its network");
        out.push_back({weight.data(), bias.data(), shift.data(), weight.shape(1), weight.shape(0),
                       lo, hi});
    }
    return out;
}

std::shared_ptr<TransformBands> make_bands(const std::vector<LayerArgs> &layers,
                                           Array<uint16_t, 2> tables, Array<uint16_t, 2> signs,
                                           Array<int8_t, 2> sign_weights,
                                           Array<int8_t, 2> centroids, Array<double, 2> costs,
                                           Array<int16_t, 2> prediction, Array<int64_t, 1> logs,
                                           const std::string &level) {
    require(logs.shape(0) == 64, "the table of logarithms has 64 entries");
    require(signs.shape(1) == 2 && signs.shape(0) == sign_weights.shape(0) * kSignTables &&
                sign_weights.shape(1) == kSignNeighbours && centroids.shape(0) == kClasses &&
                centroids.shape(1) == kCentroids && costs.shape(0) == kClasses &&
                costs.shape(1) == kBandTokens && prediction.shape(1) == 3,
            "parts do not fit the transform");
    const TransformParts parts{sign_weights.shape(0), signs.data(),      sign_weights.data(),
                               centroids.data(),      costs.data(),      prediction.data(),
                               prediction.shape(0)};
    return std::make_shared<TransformBands>(views(layers), tables.data(), tables.shape(0),
                                            tables.shape(1), logs.data(), parts, level_of(level));
}

TransformGrid grid(const Values &values) {
    require(values.size(), "a band has no values");
    return {values.data(), values.shape(0), values.shape(1)};
}

TransformPicture picture(const std::optional<Integers> &low) {
    if (!low) return {};
    return {low->data(), low->shape(0), low->shape(1), is_wide(*low)};
}

// What is around a band; points to the arrays.
TransformAround around(const AroundArgs &args, const Known &known) {
    const auto &[parent, siblings, earlier, low, step] = args;
    require(known.shape(0) == kKnownInputs, "surroundings do not fit a band");
    TransformAround result{};
    if (parent) result.parent = grid(*parent);
    for (const Values &values : siblings) result.siblings.push_back(grid(values));
    for (const Values &values : earlier) result.earlier.push_back(grid(values));
    result.low = picture(low);
    result.step = step;
    result.known = known.data();
    return result;
}

auto read_band(const TransformBands &bands, RansDecoder &decoder, size_t rows, size_t columns,
               const AroundArgs &args, Known known, size_t sign_row) {
    const PlacedBand placed(bands.model(), rows, columns, around(args, known));
    Owned<int32_t> values(rows, columns);
    Owned<uint8_t> classes(rows, columns);
    {
        const GilReleased release;
        const std::lock_guard lock(decoder.mutex);
        bands.read(decoder, placed, sign_row, values.get(), classes.get());
    }
    return nb::make_tuple(values.array(), classes.array());
}

nb::object classify(const TransformBands &bands, size_t rows, size_t columns,
                    const AroundArgs &args, Known known, Array<int64_t, 2> magnitudes,
                    std::optional<Array<bool, 2>> wanted) {
    const PlacedBand placed(bands.model(), rows, columns, around(args, known));
    require(magnitudes.size() == rows * columns && (!wanted || wanted->size() == rows * columns),
            "magnitudes do not fit the band");
    Owned<uint8_t> classes(rows, columns);
    {
        const GilReleased release;
        bands.classify(placed, magnitudes.data(),
                       wanted ? reinterpret_cast<const uint8_t *>(wanted->data()) : nullptr,
                       classes.get());
    }
    return classes.array();
}

// Gain, code, values and classes; `weights` is the row of the prediction's, or negative.
nb::object quantise(const TransformBands &bands, size_t rows, size_t columns,
                    const AroundArgs &args, Known known, bool is_low, const Integers &coefficients,
                    int weights, bool vertical) {
    const PlacedBand placed(bands.model(), rows, columns, around(args, known));
    require(coefficients.shape(0) == rows && coefficients.shape(1) == columns,
            "coefficients do not fit the band");
    const bool wide = is_wide(coefficients);
    const void *data = coefficients.data();
    TransformChoice found;
    {
        const GilReleased release;
        found = wide ? bands.quantise(placed, is_low, static_cast<const int64_t *>(data), weights,
                                      vertical)
                     : bands.quantise(placed, is_low, static_cast<const int32_t *>(data), weights,
                                      vertical);
    }
    Owned<int32_t> values(rows, columns);
    Owned<uint8_t> classes(rows, columns);
    std::copy(found.values.begin(), found.values.end(), values.get());
    std::copy(found.classes.begin(), found.classes.end(), classes.get());
    return nb::make_tuple(found.gain, found.code, values.array(), classes.array());
}

template <class T>
nb::object restore_as(const TransformBands &bands, const Values &values, const Bytes &classes,
                      const TransformPicture &low, const TransformRestoring &how) {
    Owned<T> out(values.shape(0), values.shape(1));
    {
        const GilReleased release;
        bands.restore(values.data(), classes.data(), values.shape(0), values.shape(1), low, how,
                      out.get());
    }
    return out.array();
}

// Coefficients in the unit of `step`, 32 bits wide if the picture is and they surely fit.
nb::object restore(const TransformBands &bands, Values values, Bytes classes,
                   const std::optional<Integers> &low, int weights, bool vertical, int gain,
                   int64_t step) {
    require(classes.shape(0) == values.shape(0) && classes.shape(1) == values.shape(1),
            "classes do not fit the band");
    const TransformPicture from = picture(low);
    const TransformRestoring how{weights, vertical, gain, step};
    return TransformBands::needs_wide(values.data(), classes.data(), values.size(), from.wide, step)
               ? restore_as<int64_t>(bands, values, classes, from, how)
               : restore_as<int32_t>(bands, values, classes, from, how);
}

void write_band(const TransformBands &bands, TransformWriter &writer, Values values, Bytes classes,
                size_t sign_row) {
    require(classes.shape(0) == values.shape(0) && classes.shape(1) == values.shape(1),
            "values do not fit the transform");
    const GilReleased release;
    bands.write(writer, values.data(), classes.data(), values.shape(0), values.shape(1), sign_row);
}

nb::bytes written(const TransformWriter &writer) {
    const std::vector<uint8_t> data = writer.finish();
    return nb::bytes(data.data(), data.size());
}

}  // namespace

void bind_transform(nb::module_ &module) {
    nb::class_<TransformWriter>(module, "TransformWriter")
        .def(nb::init<size_t>())
        .def("push", &TransformWriter::push)
        .def("finish", &written);
    nb::class_<TransformBands>(module, "TransformModel")
        .def(nb::new_(&make_bands))
        .def("read", &read_band)
        .def("classify", &classify, nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(),
             nb::arg().none())
        .def("quantise", &quantise)
        .def("restore", &restore, nb::arg(), nb::arg(), nb::arg().none(), nb::arg(), nb::arg(),
             nb::arg(), nb::arg())
        .def("write", &write_band);
}
