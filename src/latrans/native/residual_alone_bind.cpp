// Bindings of small planes alone: arguments are checked here, then encoded without the GIL.
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
#include "residual_alone.h"
#include "residual_plain.h"

namespace nb = nanobind;
using namespace latrans;

namespace {

using Arrays = nb::ndarray<const int32_t, nb::ndim<3>, nb::c_contig, nb::device::cpu>;
using Array = nb::ndarray<const int32_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

std::shared_ptr<Alone> make_alone(std::shared_ptr<const Model> model, std::vector<int32_t> weights,
                                  int shift, std::vector<int64_t> sigmas,
                                  std::vector<int> networks, Array costs, int32_t per_raw_bit,
                                  int32_t worth) {
    return std::make_shared<Alone>(
        std::move(model),
        AloneSource{std::move(weights), shift, std::move(sigmas), std::move(networks),
                    {costs.data(), costs.data() + costs.size()}, per_raw_bit,
                    static_cast<float>(worth)});
}

nb::bytes as_bytes(const std::vector<uint8_t> &data) { return nb::bytes(data.data(), data.size()); }

// Header and entropy-coded samples.
auto as_pair(const Alone::Section &section) {
    return nb::make_tuple(as_bytes(section.header), as_bytes(section.body));
}

auto encode_alone(const Alone &alone, Array plane) {
    Alone::Section section;
    {
        const latrans::GilReleased release;
        section = alone.encode(plane.data(), static_cast<int64_t>(plane.shape(0)),
                               static_cast<int64_t>(plane.shape(1)));
    }
    return as_pair(section);
}

// Those of planes of integers that no value map suits better, None for others.
nb::list encode_plain(const Alone &alone, Arrays planes) {
    const size_t n = planes.shape(0), size = planes.shape(1) * planes.shape(2);
    if (size == 0) throw nb::value_error("planes are empty");
    std::vector<std::optional<Alone::Section>> sections(n);
    {
        const latrans::GilReleased release;
        for (size_t i = 0; i < n; ++i) {
            const int32_t *plane = planes.data() + i * size;
            if (is_plain(plane, size))
                sections[i] = alone.encode(plane, static_cast<int64_t>(planes.shape(1)),
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

void bind_alone(nb::module_ &module) {
    nb::class_<Alone>(module, "ResidualAlone")
        .def(nb::new_(&make_alone))
        .def("encode", &encode_alone)
        .def("encode_plain", &encode_plain);
}
