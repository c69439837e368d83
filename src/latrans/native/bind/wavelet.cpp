// The wavelet on NumPy arrays of 32 or 64 bits.
#include "transform/lifting.h"

#include "arrays.h"
#include "bindings.h"
#include "gil.h"

namespace nb = nanobind;
using namespace latrans;

namespace {

template <class T>
nb::object split_as(const Integers &plane) {
    const size_t rows = plane.shape(0), columns = plane.shape(1);
    const size_t top = (rows + 1) / 2, left = (columns + 1) / 2;
    const size_t bottom = rows - top, right = columns - left;
    Owned<T> low(top, left, false), horizontal(top, right, false);
    Owned<T> vertical(bottom, left, false), diagonal(bottom, right, false);
    {
        const latrans::GilReleased release;
        wavelet_split<T>(static_cast<const T *>(plane.data()), rows, columns,
                         {low.get(), horizontal.get(), vertical.get(), diagonal.get()});
    }
    return nb::make_tuple(low.array(), horizontal.array(), vertical.array(), diagonal.array());
}

nb::object split(const Integers &plane) {
    return is_wide(plane) ? split_as<int64_t>(plane) : split_as<int32_t>(plane);
}

template <class T>
nb::object join_as(const Integers &low, const Integers &horizontal, const Integers &vertical,
                   const Integers &diagonal) {
    const size_t rows = low.shape(0) + vertical.shape(0);
    const size_t columns = low.shape(1) + horizontal.shape(1);
    Owned<T> out(rows, columns, false);
    const auto data = [](const Integers &part) { return static_cast<const T *>(part.data()); };
    {
        const latrans::GilReleased release;
        wavelet_join<T>({data(low), data(horizontal), data(vertical), data(diagonal)}, rows,
                        columns, out.get());
    }
    return out.array();
}

nb::object join(const Integers &low, const Integers &horizontal, const Integers &vertical,
                const Integers &diagonal) {
    const size_t rows = low.shape(0) + vertical.shape(0);
    const size_t columns = low.shape(1) + horizontal.shape(1);
    const bool fits = horizontal.shape(0) == low.shape(0) && vertical.shape(1) == low.shape(1) &&
                      diagonal.shape(0) == vertical.shape(0) &&
                      diagonal.shape(1) == horizontal.shape(1) &&
                      low.shape(0) == (rows + 1) / 2 && low.shape(1) == (columns + 1) / 2;
    const bool wide = is_wide(low);
    if (!fits || is_wide(horizontal) != wide || is_wide(vertical) != wide ||
        is_wide(diagonal) != wide)
        throw nb::value_error("bands do not fit each other");
    return wide ? join_as<int64_t>(low, horizontal, vertical, diagonal)
                : join_as<int32_t>(low, horizontal, vertical, diagonal);
}

int64_t largest(const Integers &values) {
    const bool wide = is_wide(values);
    const latrans::GilReleased release;
    return wide ? largest_magnitude(static_cast<const int64_t *>(values.data()), values.size())
                : largest_magnitude(static_cast<const int32_t *>(values.data()), values.size());
}

}  // namespace

void bind_wavelet(nb::module_ &module) {
    module.def("wavelet_split", &split, nb::arg().noconvert());
    module.def("wavelet_join", &join, nb::arg().noconvert(), nb::arg().noconvert(),
               nb::arg().noconvert(), nb::arg().noconvert());
    module.def("largest_magnitude", &largest, nb::arg().noconvert());
    module.attr("WAVELET_NARROW") = kNarrow;
}
