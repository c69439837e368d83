// Bindings of the value coder: arguments are checked here, then coded without the GIL.
#include "bindings.h"

#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "arrays.h"
#include "gil.h"
#include "kernels.h"
#include "require.h"
#include "values/chunks.h"
#include "values/coder.h"

namespace nb = nanobind;
using namespace latrans;

namespace {

using Items = Array<uint8_t, 3>;
using Pairs = std::vector<std::pair<int, int>>;

std::vector<Offset> offsets(const Pairs &pairs) {
    std::vector<Offset> result;
    for (auto [dy, dx] : pairs) result.push_back({dy, dx});
    return result;
}

std::vector<LayerSource> layer_sources(const std::vector<LayerArgs> &layers) {
    std::vector<LayerSource> sources;
    for (const auto &[weight, bias, shift, lo, hi] : layers) {
        require(bias.shape(0) == weight.shape(0) && shift.shape(0) == weight.shape(0),
                "bias and shift of a layer need one entry per output");
        require(lo <= hi, "a layer clamps to an empty range");
        sources.push_back({weight.shape(1), weight.shape(0), weight.data(), bias.data(),
                           shift.data(), lo, hi});
    }
    return sources;
}

std::shared_ptr<ValueModel> make_model(std::pair<size_t, size_t> shape, const Pairs &taps,
                                       const Pairs &picture_taps,
                                       const std::vector<LayerArgs> &layers,
                                       Array<uint16_t, 2> frequencies,
                                       const std::string &kernel) {
    const Kernels *chosen = kernels(kernel);
    require(chosen, "no kernel of this name runs on this machine");
    require(frequencies.shape(1) == kValueSymbols, "probability tables have another shape");
    const ValueSource source{shape.first, shape.second, offsets(taps), offsets(picture_taps),
                             layer_sources(layers), frequencies.data(), frequencies.shape(0),
                             &chosen->values};
    return std::make_shared<ValueModel>(source);
}

void check(const ValueModel &model, const Items &items) {
    require(items.shape(1) == model.rows() && items.shape(2) == model.columns(),
            "items have another shape than the model's");
}

void check(const ValueModel &model, const Items &items, const Items &pictures) {
    check(model, items);
    check(model, pictures);
    require(items.shape(0) == pictures.shape(0), "every item needs its reconstruction");
}

template <class T>
auto numpy(std::vector<T> values, std::vector<size_t> shape) {
    auto *kept = new std::vector<T>(std::move(values));
    const nb::capsule owner(kept,
                            [](void *p) noexcept { delete static_cast<std::vector<T> *>(p); });
    return nb::ndarray<nb::numpy, T>(kept->data(), shape.size(), shape.data(), owner);
}

auto classify(const ValueModel &model, Items items, Items pictures) {
    check(model, items, pictures);
    const size_t n = items.shape(0);
    std::vector<uint16_t> classes;
    {
        const latrans::GilReleased release;
        classes = model.classify(items.data(), pictures.data(), n);
    }
    return numpy(std::move(classes), {n, model.rows(), model.columns()});
}

nb::bytes encode(const ValueModel &model, Items items, Items pictures, size_t n_states) {
    check(model, items, pictures);
    require(n_states >= 1 && n_states <= kLanes, "n_states out of range");
    std::vector<uint8_t> data;
    {
        const latrans::GilReleased release;
        data = model.encode(items.data(), pictures.data(), items.shape(0), n_states);
    }
    return nb::bytes(data.data(), data.size());
}

auto decode(const ValueModel &model, RansDecoder &decoder, Items pictures) {
    check(model, pictures);
    const size_t n = pictures.shape(0);
    std::vector<uint8_t> items(n * model.rows() * model.columns());
    {
        const latrans::GilReleased release;
        const std::lock_guard lock(decoder.mutex);
        model.decode(decoder, pictures.data(), n, items.data());
    }
    return numpy(std::move(items), {n, model.rows(), model.columns()});
}

using ProgramArgs = std::tuple<std::vector<LayerArgs>, int, int>;

std::shared_ptr<ValueChunks> make_chunks(std::shared_ptr<const ValueModel> model,
                                         const ProgramArgs &analysis, const ProgramArgs &synthesis,
                                         Array<uint16_t, 2> frequencies, int limit) {
    require(frequencies.shape(1) == kSymbols, "latent tables have another shape");
    const auto source = [](const ProgramArgs &program) {
        const auto &[layers, lo, hi] = program;
        return ProgramSource{layer_sources(layers), lo, hi};
    };
    return std::make_shared<ValueChunks>(std::move(model), source(analysis), source(synthesis),
                                         frequencies.data(), frequencies.shape(0), limit);
}

nb::list encode_chunks(const ValueChunks &chunks, Items items) {
    check(chunks.model(), items);
    std::vector<ValueChunks::Sections> sections;
    {
        const latrans::GilReleased release;
        sections = chunks.encode(items.data(), items.shape(0));
    }
    nb::list found;
    for (const auto &[latents, residual] : sections)
        found.append(nb::make_tuple(nb::bytes(latents.data(), latents.size()),
                                    nb::bytes(residual.data(), residual.size())));
    return found;
}

auto decode_chunks(const ValueChunks &chunks,
                   const std::vector<std::pair<nb::bytes, nb::bytes>> &sections) {
    const ValueModel &model = chunks.model();
    const auto view = [](const nb::bytes &bytes) {
        return Bytes{static_cast<const uint8_t *>(bytes.data()), bytes.size()};
    };
    std::vector<std::pair<Bytes, Bytes>> views;
    for (const auto &[latents, residual] : sections)
        views.emplace_back(view(latents), view(residual));
    std::vector<uint8_t> items(views.size() * model.area());
    {
        const latrans::GilReleased release;
        chunks.decode(views, items.data());
    }
    return numpy(std::move(items), {views.size(), model.rows(), model.columns()});
}

}  // namespace

void bind_values(nb::module_ &module) {
    nb::class_<ValueModel>(module, "ValueModel")
        .def(nb::new_(&make_model))
        .def("classify", &classify)
        .def("encode", &encode)
        .def("decode", &decode);
    nb::class_<ValueChunks>(module, "ValueChunks")
        .def(nb::new_(&make_chunks))
        .def("encode", &encode_chunks)
        .def("decode", &decode_chunks);
}
