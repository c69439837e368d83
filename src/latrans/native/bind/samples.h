// How Python hands planes over: arrays of whichever integers.
#pragma once
#include <nanobind/ndarray.h>

#include "residual/samples_view.h"

namespace latrans {

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

}  // namespace latrans
