// Bindings of the choice of tables for the classes of a section.
#include "bindings.h"

#include <memory>
#include <vector>

#include <nanobind/ndarray.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/vector.h>

#include "arrays.h"
#include "gil.h"
#include "require.h"
#include "residual/table_map.h"

namespace nb = nanobind;
using namespace latrans;

namespace {

TableCosts make_costs(Array<int32_t, 2> costs, int32_t worth) {
    require(costs.shape(0) == kTables && costs.shape(1) == kTokens, "costs have another shape");
    return TableCosts(costs.data(), worth);
}

nb::bytes cheapest(const TableCosts &costs, const std::vector<std::shared_ptr<Classes>> &planes) {
    TableMap map;
    {
        const GilReleased release;
        map = costs.cheapest(planes);
    }
    uint8_t bytes[kTables];
    for (size_t i = 0; i < kTables; ++i) bytes[i] = static_cast<uint8_t>(map[i]);
    return nb::bytes(bytes, sizeof bytes);
}

}  // namespace

void bind_table_map(nb::module_ &module) {
    nb::class_<TableCosts>(module, "ResidualTableCosts")
        .def(nb::new_(&make_costs))
        .def("cheapest", &cheapest);
}
