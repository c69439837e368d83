// Bindings of the passes over arrays: arguments are checked here, then run without the GIL.
#include "bindings.h"

#include <cstdlib>
#include <optional>
#include <string>
#include <tuple>

#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "gil.h"
#include "kernels.h"
#include "maps/divisors.h"
#include "require.h"

namespace nb = nanobind;
using namespace latrans;

namespace {

using Values = nb::ndarray<nb::ndim<1>, nb::c_contig, nb::device::cpu, nb::ro>;
using Writable = nb::ndarray<nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Integers = nb::ndarray<const int32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Planes = nb::ndarray<const int32_t, nb::ndim<3>, nb::c_contig, nb::device::cpu>;
using Out = nb::ndarray<int32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using SumsArray = nb::ndarray<int64_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Counts = std::tuple<int64_t, int64_t, int64_t>;

// The passes for a kernel's instruction set; without a name, of the fastest that runs here.
const MapKernel &map_kernel(const std::string &name) {
    const Kernels *chosen = kernels(name);
    require(chosen, "no kernel of this name runs on this machine");
    return chosen->maps;
}

template <class Array> int type_of(const Array &values) {
    const nb::dlpack::dtype type = values.dtype();
    int wide = 0;
    while (8 << wide < type.bits) ++wide;
    require(type.lanes == 1 && 8 << wide == type.bits && wide < 4, "values of another type");
    if (type.code == static_cast<uint8_t>(nb::dlpack::dtype_code::Float)) {
        require(wide >= 2, "values of another type");
        return wide - 2;
    }
    const bool whole = type.code == static_cast<uint8_t>(nb::dlpack::dtype_code::UInt);
    require(whole || type.code == static_cast<uint8_t>(nb::dlpack::dtype_code::Int),
            "values of another type");
    return 2 + 2 * wide + whole;
}

Counts counts(const Compared &found) { return {found.missed, found.same, found.told}; }

std::optional<Counts> quantise(const Values &values, double step, double bound,
                               std::tuple<double, double> limits, const Out &out,
                               const std::string &kernel) {
    require(values.shape(0) == out.shape(0), "as many integers as values are needed");
    const Pass &pass = map_kernel(kernel).passes[type_of(values)];
    const ValueRange range{std::get<0>(limits), std::get<1>(limits)};
    Compared found;
    bool fits;
    {
        latrans::GilReleased free;
        fits = pass.quantise(values.data(), values.shape(0), step, bound, range, out.data(), found);
    }
    if (!fits) return std::nullopt;
    return counts(found);
}

Counts compare(const Values &values, const Integers &integers, double step, double bound,
               std::tuple<double, double> limits, const std::string &kernel) {
    require(values.shape(0) == integers.shape(0), "as many integers as values are needed");
    const Pass &pass = map_kernel(kernel).passes[type_of(values)];
    const ValueRange range{std::get<0>(limits), std::get<1>(limits)};
    Compared found;
    {
        latrans::GilReleased free;
        pass.compare(values.data(), integers.data(), values.shape(0), step, bound, range, found);
    }
    return counts(found);
}

void restore(const Integers &integers, double step, std::tuple<double, double> limits,
             const Writable &out, const std::string &kernel) {
    require(integers.shape(0) == out.shape(0), "as many values as integers are needed");
    const Pass &pass = map_kernel(kernel).passes[type_of(out)];
    const ValueRange range{std::get<0>(limits), std::get<1>(limits)};
    latrans::GilReleased free;
    pass.restore(integers.data(), integers.shape(0), step, range, out.data());
}

std::tuple<double, double, int64_t, int64_t> extent(const Values &values,
                                                    const std::string &kernel) {
    const int type = type_of(values);
    require(type < 2, "extremes are those of floats");
    const MapKernel &chosen = map_kernel(kernel);
    Extremes found;
    {
        latrans::GilReleased free;
        chosen.extent[type](values.data(), values.shape(0), found);
    }
    return {found.lo, found.hi, found.wild, found.zeros};
}

// Sums of misses, (kMostMisses, groups), all zero before.
void misses(const Planes &planes, bool plane, bool wide, const SumsArray &sums,
            const std::string &kernel) {
    const size_t rows = planes.shape(1), columns = planes.shape(2), edge = plane ? 2 : 3;
    require(columns >= edge && (!plane || rows >= edge), "planes are too small");
    const size_t n = planes.shape(0) * (plane ? rows - edge : rows) * (columns - edge);
    require(sums.shape(1) * 32 >= n && sums.shape(0) == kMostMisses, "sums have another shape");
    const MapKernel &chosen = map_kernel(kernel);
    latrans::GilReleased free;
    chosen.misses[wide](planes.data(), planes.shape(0), rows, columns, plane,
                         {sums.data(), sums.shape(1)});
}

using Longs = nb::ndarray<const int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

bool share_divisor(const Longs &distinct, const Longs &counts, size_t n_frequent,
                   size_t n_references, size_t n_paired, int64_t most_missed) {
    require(distinct.shape(0) == counts.shape(0), "every value has a count");
    require(distinct.shape(0) <= UINT32_MAX, "too many values");
    const GilReleased release;
    return may_share_divisor(distinct.data(), counts.data(), distinct.shape(0),
                             {n_frequent, n_references, n_paired, most_missed});
}

}  // namespace

void bind_maps(nb::module_ &module) {
    module.def("field_may_share_divisor", &share_divisor);
    module.def("field_quantise", &quantise, nb::arg("values"), nb::arg("step"), nb::arg("bound"),
               nb::arg("limits"), nb::arg("out"), nb::arg("kernel") = "");
    module.def("field_compare", &compare, nb::arg("values"), nb::arg("integers"), nb::arg("step"),
               nb::arg("bound"), nb::arg("limits"), nb::arg("kernel") = "");
    module.def("field_restore", &restore, nb::arg("integers"), nb::arg("step"), nb::arg("limits"),
               nb::arg("out"), nb::arg("kernel") = "");
    module.def("field_extent", &extent, nb::arg("values"), nb::arg("kernel") = "");
    module.def("field_misses", &misses, nb::arg("planes"), nb::arg("plane"), nb::arg("wide"),
               nb::arg("sums"), nb::arg("kernel") = "");
}
