// NumPy arrays of integers of 32 or 64 bits, as the transform takes and gives them.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

#include <nanobind/ndarray.h>

#include "arrays.h"
#include "bindings.h"

namespace nb = nanobind;

namespace latrans {

using Integers = nb::ndarray<nb::ro, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

inline bool is_wide(const Integers &values) {
    if (values.dtype() == nb::dtype<int64_t>()) return true;
    if (values.dtype() == nb::dtype<int32_t>()) return false;
    throw nb::value_error("integers of 32 or 64 bits are expected");
}

// An array that NumPy will own.
template <class T>
class Owned {
public:
    Owned(size_t rows, size_t columns, bool zeros = true) : rows_(rows), columns_(columns) {
        const size_t n = std::max<size_t>(1, rows * columns) * sizeof(T);
        data_.reset(static_cast<T *>(zeros ? std::calloc(n, 1) : std::malloc(n)));
        if (!data_) throw std::bad_alloc();
    }
    T *get() { return data_.get(); }
    nb::object array() {
        T *data = data_.release();
        const nb::capsule owner(data, [](void *p) noexcept { std::free(p); });
        return nb::cast(nb::ndarray<nb::numpy, T>(data, {rows_, columns_}, owner));
    }

private:
    struct Free {
        void operator()(T *data) const { std::free(data); }
    };
    size_t rows_, columns_;
    std::unique_ptr<T, Free> data_;
};

}  // namespace latrans
