// Binding of the fallback's estimate.
#include "fallback/estimate_small.h"

#include "bindings.h"
#include "gil.h"

namespace nb = nanobind;

namespace {

int64_t squeezed(const nb::bytes &data, size_t item_size) {
    const size_t n = data.size();
    const auto *bytes = static_cast<const uint8_t *>(data.data());
    const latrans::GilReleased release;
    return latrans::estimate_nbytes(bytes, n, item_size);
}

}  // namespace

void bind_fallback(nb::module_ &module) { module.def("squeezed", &squeezed); }
