// Bindings of the residual coder: arguments are checked here, then coded without the GIL.
#include "bindings.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "arrays.h"
#include "gil.h"
#include "kernels.h"
#include "require.h"
#include "residual/classes.h"
#include "residual/coder.h"
#include "residual/imported.h"

namespace nb = nanobind;
using namespace latrans;

namespace {

using Pair = std::pair<int, int>;
using Pairs = std::vector<Pair>;
using NetworkArgs = std::tuple<int, std::vector<LayerArgs>, Pair>;

using Map = Array<uint8_t, 1>;

TableMap table_map(const Map &map) {
    require(map.shape(0) == kTables, "a table map has one entry per class");
    TableMap result{};
    for (size_t i = 0; i < result.size(); ++i) {
        require(map.data()[i] < kTables, "a table map names a table that does not exist");
        result[i] = map.data()[i];
    }
    return result;
}

std::vector<Offset> offsets(const Pairs &pairs) {
    std::vector<Offset> result;
    for (Pair pair : pairs) result.push_back({pair.first, pair.second});
    return result;
}

Geometry make_geometry(bool plane, const Pairs &base, const Pairs &taps, const Pairs &errors,
                       std::vector<int> error_weights,
                       const std::vector<std::tuple<int, int, int>> &windows,
                       const std::vector<std::vector<std::pair<int, Pair>>> &predictors,
                       int n_described, bool median, int n_adaptive,
                       const Pairs &reference_taps, int n_near,
                       const Pairs &reference_errors, std::tuple<int, int, int> reach) {
    require(base.size() == 2, "the reference level is the mean of two neighbours");
    Geometry g{};
    g.plane = plane;
    g.base[0] = {base[0].first, base[0].second};
    g.base[1] = {base[1].first, base[1].second};
    g.taps = offsets(taps);
    g.errors = offsets(errors);
    g.error_weights = std::move(error_weights);
    for (auto [above, left, right] : windows) g.windows.push_back({above, left, right});
    for (const auto &predictor : predictors) {
        g.predictors.emplace_back();
        for (const auto &[weight, at] : predictor)
            g.predictors.back().push_back({weight, {at.first, at.second}});
    }
    g.n_described = n_described;
    g.median = median;
    g.n_adaptive = n_adaptive;
    g.n_near = n_near;
    g.reference_taps = offsets(reference_taps);
    g.reference_errors = offsets(reference_errors);
    std::tie(g.up, g.left, g.right) = reach;
    return g;
}

std::shared_ptr<Model> make_model(const Geometry &geometry, bool has_picture, bool flat,
                                  std::array<int32_t, 2> tails,
                                  std::vector<int32_t> trained, Array<int32_t, 1> logs,
                                  Array<int32_t, 1> reciprocals,
                                  const std::vector<NetworkArgs> &networks,
                                  Array<uint16_t, 2> frequencies, const std::string &kernel) {
    const Kernels *chosen = kernels(kernel);
    require(chosen, "no kernel of this name runs on this machine");
    require(logs.shape(0) == kTableSteps && reciprocals.shape(0) == kTableSteps,
            "logarithms and reciprocals have 64 steps");
    require(frequencies.shape(0) == kTables && frequencies.shape(1) == kSymbols,
            "probability tables have another shape");
    ModelSource source{geometry,
                       has_picture,
                       flat,
                       tails,
                       std::move(trained),
                       logs.data(),
                       reciprocals.data(),
                       {},
                       frequencies.data(),
                       &chosen->residual};
    for (const auto &[n_references, layers, input_range] : networks) {
        NetworkSource network{n_references, {}, input_range.first, input_range.second};
        for (const auto &[weight, bias, shift, lo, hi] : layers) {
            require(bias.shape(0) == weight.shape(0) && shift.shape(0) == weight.shape(0),
                    "bias and shift of a layer need one entry per output");
            require(lo <= hi, "a layer clamps to an empty range");
            network.layers.push_back({weight.shape(1), weight.shape(0), weight.data(),
                                      bias.data(), shift.data(), lo, hi});
        }
        source.networks.push_back(std::move(network));
    }
    return std::make_shared<Model>(source);
}

// A job and the arrays it points to.
struct OwnedJob {
    Job job;
    Array<int32_t, 2> weights;
    std::optional<Array<int32_t, 2>> picture;
};

OwnedJob make_job(bool plane, std::tuple<int64_t, int64_t, int64_t> shape,
                  std::pair<int64_t, int64_t> range,
                  Array<int32_t, 2> weights, const std::vector<int32_t> &shifts,
                  const std::vector<int64_t> &sigmas, int64_t band_rows,
                  std::vector<std::shared_ptr<Coded>> references,
                  std::optional<Array<int32_t, 2>> picture, int network, int32_t step, bool keep) {
    OwnedJob owned{{}, weights, picture};
    Job &job = owned.job;
    const auto [rows, columns, n_samples] = shape;
    job.schedule = {plane, rows, columns, n_samples};
    require(range.first >= INT32_MIN && range.second <= INT32_MAX, "samples exceed 32 bits");
    job.lo = static_cast<int32_t>(std::min<int64_t>(range.first, INT32_MAX));
    job.hi = static_cast<int32_t>(std::max<int64_t>(range.second, INT32_MIN));
    require(shifts.size() == weights.shape(0) && sigmas.size() == weights.shape(0),
            "every coefficient set needs a shift and an error");
    require(weights.shape(1) <= kMaxTaps, "too many weights");
    job.n_weights = static_cast<int>(weights.shape(1));
    for (size_t i = 0; i < shifts.size(); ++i)
        job.bands.push_back({weights.data() + i * weights.shape(1), shifts[i], sigmas[i]});
    job.band_rows = band_rows;
    job.references.assign(references.begin(), references.end());
    job.picture = nullptr;
    job.network = network;
    job.step = step;
    job.keep = keep;
    if (picture) {
        require(int64_t(picture->shape(0)) == rows && int64_t(picture->shape(1)) == columns,
                "reconstruction has another shape than its plane");
        job.picture = picture->data();
    }
    return owned;
}

SamplesView given_for(const Job &job, const Samples &plane) {
    const Schedule &s = job.schedule;
    require(int64_t(plane.shape(0)) == s.rows && int64_t(plane.shape(1)) == s.columns,
            "plane has another shape than its job");
    return given(plane);
}

auto classify_plane(const Model &model, const OwnedJob &owned, Samples plane) {
    const SamplesView samples = given_for(owned.job, plane);
    const latrans::GilReleased release;
    owned.job.check(model);
    Classified result = classify(model, owned.job, samples);
    return std::pair(std::move(result.classes), std::move(result.coded));
}

auto contest_networks(const Model &model, const OwnedJob &owned, Samples plane,
                      const std::vector<int> &networks, Array<int32_t, 2> costs,
                      int32_t per_raw_bit, bool with_classes) {
    const SamplesView samples = given_for(owned.job, plane);
    require(costs.shape(0) == kTables && costs.shape(1) == kTokens, "costs have another shape");
    const latrans::GilReleased release;
    owned.job.check(model);
    const size_t n_references = owned.job.references.size();
    int seen = -1;
    for (const int network : networks) {
        require(network >= -1 && network < static_cast<int>(model.n_networks()),
                "no such network");
        if (network < 0) continue;
        const int mine = model.network(static_cast<size_t>(network)).n_references;
        require((seen < 0 || seen == mine) && static_cast<size_t>(mine) <= n_references,
                "networks see different reference planes");
        seen = mine;
    }
    Contested found = contest(model, owned.job, samples, networks, costs.data(), per_raw_bit,
                              with_classes);
    return std::pair(std::move(found.totals), std::move(found.classes));
}

nb::bytes encode_planes(const Model &model, const std::vector<std::shared_ptr<Classes>> &planes,
                        const Map &map, size_t n_states) {
    const TableMap tables = table_map(map);
    require(n_states >= 1 && n_states <= kLanes, "n_states out of range");
    std::vector<uint8_t> data;
    {
        const latrans::GilReleased release;
        data = encode(model, planes, tables, n_states);
    }
    return nb::bytes(data.data(), data.size());
}

auto count_plane(const Classes &classes, nb::ndarray<int64_t, nb::ndim<2>, nb::c_contig> counts) {
    require(counts.shape(0) == kTables && counts.shape(1) == kTokens,
            "counts have another shape");
    const latrans::GilReleased release;
    return count(classes, counts.data());
}

auto decode_plane(const Model &model, RansDecoder &decoder, const OwnedJob &owned, const Map &map,
                  std::optional<Array<int32_t, 1>> firsts) {
    const TableMap tables = table_map(map);
    const Schedule &s = owned.job.schedule;
    require(s.plane != firsts.has_value(), "a track needs its first samples, a plane has none");
    require(!firsts || int64_t(firsts->shape(0)) == s.rows, "every lane needs a first sample");
    require(decoder.n_states() <= size_t{kLanes}, "a section has a state for each lane at most");
    std::shared_ptr<Coded> coded;
    {
        const latrans::GilReleased release;
        owned.job.check(model);
        const std::lock_guard lock(decoder.mutex);
        coded = decode(model, owned.job, tables, decoder, firsts ? firsts->data() : nullptr);
    }
    return coded;
}

// A view of a plane's samples, which lives as long as the view does.
auto coded_samples(std::shared_ptr<Coded> coded) {
    require(coded->samples.size() || coded->narrow_samples.size(), "the plane was not kept");
    const auto rows = static_cast<size_t>(coded->rows);
    const auto columns = static_cast<size_t>(coded->columns);
    const Type type = coded->type;
    const void *values = coded->narrow_samples.data();
    if (type == Type::kInt32) values = coded->samples.data();
    auto held = std::make_unique<std::shared_ptr<Coded>>(std::move(coded));
    const nb::capsule owner(held.get(), [](void *p) noexcept {
        delete static_cast<std::shared_ptr<Coded> *>(p);
    });
    static_cast<void>(held.release());
    const auto dtype = with_type(
        type, [](auto *none) { return nb::dtype<std::remove_pointer_t<decltype(none)>>(); });
    return nb::ndarray<nb::numpy, nb::ro>(values, {rows, columns}, owner, {}, dtype);
}

auto take_classes(const Model &model, int64_t n_samples, Array<uint8_t, 2> tables,
                  Array<uint8_t, 2> low_bits, Array<int32_t, 2> offsets) {
    for (size_t axis : {0, 1})
        require(tables.shape(axis) == low_bits.shape(axis) &&
                    tables.shape(axis) == offsets.shape(axis),
                "tables, low bits and offsets have different shapes");
    const Schedule schedule{model.geometry().plane, int64_t(tables.shape(0)),
                            int64_t(tables.shape(1)), n_samples};
    const latrans::GilReleased release;
    return imported_classes(model, schedule, {tables.data(), low_bits.data(), offsets.data()});
}

auto take_plane(const Model &model, int64_t n_samples, Samples samples, int32_t lo, int32_t hi) {
    const SamplesView values = given(samples);
    require(values.type != Type::kInt64, "samples to refer to have 32 bits");
    const Schedule schedule{model.geometry().plane, int64_t(samples.shape(0)),
                            int64_t(samples.shape(1)), n_samples};
    const latrans::GilReleased release;
    return imported_plane(schedule, values, lo, hi);
}

}  // namespace

void bind_residual(nb::module_ &module) {
    nb::class_<Coded>(module, "ResidualCoded")
        .def("part", &Coded::part)
        .def("samples", &coded_samples);
    nb::class_<Classes>(module, "ResidualClasses").def("count", &count_plane);
    nb::class_<Geometry>(module, "ResidualGeometry").def(nb::new_(&make_geometry));
    nb::class_<OwnedJob>(module, "ResidualJob")
        .def(nb::new_(&make_job), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(),
             nb::arg(), nb::arg(), nb::arg().none(), nb::arg(), nb::arg(), nb::arg());
    nb::class_<Model>(module, "ResidualModel")
        .def(nb::new_(&make_model))
        .def("classify", &classify_plane)
        .def("contest", &contest_networks)
        .def("take_classes", &take_classes)
        .def("take_plane", &take_plane)
        .def("encode", &encode_planes)
        .def("decode", &decode_plane, nb::arg(), nb::arg(), nb::arg(), nb::arg().none());
    module.def("residual_kernels", &kernel_names);
}
