// Arrays as Python hands them over and takes them back.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <tuple>

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include "residual/samples_view.h"

namespace latrans {

template <class T, size_t n>
using Array = nanobind::ndarray<const T, nanobind::ndim<n>, nanobind::c_contig,
                                nanobind::device::cpu>;

// A layer of a network: weights (n_out, n_in), biases, shifts, limits of what goes on.
using LayerArgs = std::tuple<Array<int8_t, 2>, Array<int32_t, 1>, Array<uint8_t, 1>, int, int>;

// Planes of whichever integers.
using Samples = nanobind::ndarray<nanobind::ro, nanobind::ndim<2>, nanobind::c_contig,
                                  nanobind::device::cpu>;

// Throws nanobind::value_error for other types.
inline SamplesView given(const Samples &plane) {
    using nanobind::dtype;
    const auto type = plane.dtype();
    if (type == dtype<uint8_t>()) return {plane.data(), Type::kUint8};
    if (type == dtype<int8_t>()) return {plane.data(), Type::kInt8};
    if (type == dtype<uint16_t>()) return {plane.data(), Type::kUint16};
    if (type == dtype<int16_t>()) return {plane.data(), Type::kInt16};
    if (type == dtype<int32_t>()) return {plane.data(), Type::kInt32};
    if (type == dtype<int64_t>()) return {plane.data(), Type::kInt64};
    throw nanobind::value_error("samples are integers of 8 to 32 bits, or int64");
}

// Integers of 32 or 64 bits, as the transform takes and gives them.
using Integers = nanobind::ndarray<nanobind::ro, nanobind::ndim<2>, nanobind::c_contig, nanobind::device::cpu>;

inline bool is_wide(const Integers &values) {
    if (values.dtype() == nanobind::dtype<int64_t>()) return true;
    if (values.dtype() == nanobind::dtype<int32_t>()) return false;
    throw nanobind::value_error("integers of 32 or 64 bits are expected");
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
    nanobind::object array() {
        T *data = data_.release();
        const nanobind::capsule owner(data, [](void *p) noexcept { std::free(p); });
        return nanobind::cast(nanobind::ndarray<nanobind::numpy, T>(data, {rows_, columns_}, owner));
    }

private:
    struct Free {
        void operator()(T *data) const { std::free(data); }
    };
    size_t rows_, columns_;
    std::unique_ptr<T, Free> data_;
};

}  // namespace latrans
