// Bindings of small planes: arguments are checked here, then encoded without the GIL.
#include "bindings.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <nanobind/ndarray.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/vector.h>

#include "gil.h"
#include "maps/identity_test.h"
#include "residual/small_plane.h"

namespace nb = nanobind;
using namespace latrans;

namespace {

using Arrays = nb::ndarray<const int32_t, nb::ndim<3>, nb::c_contig, nb::device::cpu>;
using Array = nb::ndarray<const int32_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

std::shared_ptr<SmallPlaneEncoder> make_encoder(
    std::shared_ptr<const Model> model, std::vector<int32_t> weights, int shift,
    std::vector<int64_t> sigmas, std::vector<int> networks, Array costs, int32_t per_raw_bit,
    int32_t worth) {
    return std::make_shared<SmallPlaneEncoder>(
        std::move(model),
        SmallPlaneSource{std::move(weights), shift, std::move(sigmas), std::move(networks),
                         {costs.data(), costs.data() + costs.size()}, per_raw_bit,
                         worth});
}

nb::bytes as_bytes(const std::vector<uint8_t> &data) { return nb::bytes(data.data(), data.size()); }

// Header and entropy-coded samples.
auto as_pair(const SmallPlaneEncoder::Section &section) {
    return nb::make_tuple(as_bytes(section.header), as_bytes(section.body));
}

auto encode_plane(const SmallPlaneEncoder &encoder, Array plane) {
    SmallPlaneEncoder::Section section;
    {
        const latrans::GilReleased release;
        section = encoder.encode(plane.data(), static_cast<int64_t>(plane.shape(0)),
                               static_cast<int64_t>(plane.shape(1)));
    }
    return as_pair(section);
}

// Those of planes of integers that no value map suits better, None for others.
nb::list encode_plain(const SmallPlaneEncoder &encoder, Arrays planes) {
    const size_t n = planes.shape(0), size = planes.shape(1) * planes.shape(2);
    if (size == 0) throw nb::value_error("planes are empty");
    std::vector<std::optional<SmallPlaneEncoder::Section>> sections(n);
    {
        const latrans::GilReleased release;
        for (size_t i = 0; i < n; ++i) {
            const int32_t *plane = planes.data() + i * size;
            if (best_left_alone(plane, size))
                sections[i] = encoder.encode(plane, static_cast<int64_t>(planes.shape(1)),
                                           static_cast<int64_t>(planes.shape(2)));
        }
    }
    nb::list found;
    for (const auto &section : sections)
        if (section) found.append(as_pair(*section));
        else found.append(nb::none());
    return found;
}

}  // namespace

void bind_small_plane(nb::module_ &module) {
    nb::class_<SmallPlaneEncoder>(module, "ResidualAlone")
        .def(nb::new_(&make_encoder))
        .def("encode", &encode_plane)
        .def("encode_plain", &encode_plain);
}
