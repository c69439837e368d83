// Bindings of small planes alone: arguments are checked here, then coded without the GIL.
#include "bindings.h"

#include <memory>
#include <utility>
#include <vector>

#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/vector.h>

#include "residual_alone.h"

namespace nb = nanobind;
using namespace latrans;

namespace {

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
auto encode_alone(const Alone &alone, Array plane) {
    Alone::Section section;
    {
        const nb::gil_scoped_release release;
        section = alone.encode(plane.data(), static_cast<int64_t>(plane.shape(0)),
                               static_cast<int64_t>(plane.shape(1)));
    }
    return std::pair(as_bytes(section.header), as_bytes(section.body));
}

std::shared_ptr<Coded> decode_alone(const Alone &alone, const nb::bytes &section, int64_t rows,
                                    int64_t columns) {
    const auto *data = static_cast<const uint8_t *>(section.data());
    const size_t nbytes = section.size();
    const nb::gil_scoped_release release;
    return alone.decode(data, nbytes, rows, columns);
}

}  // namespace

void bind_alone(nb::module_ &module) {
    nb::class_<Alone>(module, "ResidualAlone")
        .def(nb::new_(&make_alone))
        .def("encode", &encode_alone)
        .def("decode", &decode_alone);
}
