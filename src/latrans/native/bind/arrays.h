// Arguments of bindings that several of them take.
#pragma once
#include <cstdint>
#include <tuple>

#include <nanobind/ndarray.h>

namespace latrans {

template <class T, size_t n>
using Array = nanobind::ndarray<const T, nanobind::ndim<n>, nanobind::c_contig,
                                nanobind::device::cpu>;

// A layer of a network: weights (n_out, n_in), biases, shifts, limits of what goes on.
using LayerArgs = std::tuple<Array<int8_t, 2>, Array<int32_t, 1>, Array<uint8_t, 1>, int, int>;

}  // namespace latrans
