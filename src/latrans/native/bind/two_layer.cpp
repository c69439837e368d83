// Bindings of floats in two layers: arguments are checked here, then run without the GIL.
#include "bindings.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>

#include "arrays.h"
#include "gil.h"
#include "maps/two_layer.h"
#include "require.h"

namespace nb = nanobind;
using namespace latrans;

namespace {

template <class T>
using Out = nb::ndarray<T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Octaves = nb::ndarray<nb::numpy, int64_t, nb::ndim<1>>;

constexpr int kLeastExponent = -149, kMostExponent = 128;  // of float32

Octaves as_array(std::vector<int64_t> values) {
    auto held = std::make_unique<std::vector<int64_t>>(std::move(values));
    const nb::capsule owner(held.get(), [](void *p) noexcept {
        delete static_cast<std::vector<int64_t> *>(p);
    });
    const std::vector<int64_t> &all = *held.release();
    return Octaves(const_cast<int64_t *>(all.data()), {all.size()}, owner);
}

std::optional<std::pair<nb::bytes, Octaves>> split(Array<float, 1> values, int exponent,
                                                   Out<int64_t> integers) {
    require(values.shape(0) == integers.shape(0), "as many integers as values are needed");
    require(exponent >= kLeastExponent && exponent <= kMostExponent, "no such grid");
    std::optional<SecondLayer> layer;
    {
        const GilReleased release;
        layer = split_floats(values.data(), values.shape(0), exponent, integers.data());
    }
    if (!layer) return std::nullopt;
    return std::pair(nb::bytes(layer->low.data(), layer->low.size()),
                     as_array(std::move(layer->octaves)));
}

size_t at_zero(Array<int64_t, 1> integers) {
    const GilReleased release;
    return count_at_zero(integers.data(), integers.shape(0));
}

bool join(Array<int64_t, 1> integers, int exponent, const nb::bytes &low,
          std::optional<Array<int64_t, 1>> octaves, Out<float> values) {
    require(values.shape(0) == integers.shape(0), "as many values as integers are needed");
    require(exponent >= kLeastExponent && exponent <= kMostExponent, "no such grid");
    const auto *bytes = static_cast<const uint8_t *>(low.data());
    const size_t n = integers.shape(0), nbytes = low.size();
    const GilReleased release;
    if (octaves) {
        require(octaves->shape(0) == count_at_zero(integers.data(), n), "octaves are missing");
        // Beyond, there is no float.
        const auto &all = *octaves;
        require(std::all_of(all.data(), all.data() + all.shape(0),
                            [](int64_t value) { return value >= 0 && value <= 256; }),
                "octaves beyond those of any float");
    }
    return join_floats(integers.data(), n, exponent, bytes, nbytes,
                       octaves ? octaves->data() : nullptr, values.data());
}

}  // namespace

void bind_two_layer(nb::module_ &module) {
    module.def("float_split", &split);
    module.def("float_at_zero", &at_zero);
    module.def("float_join", &join, nb::arg(), nb::arg(), nb::arg(), nb::arg().none(), nb::arg());
}
