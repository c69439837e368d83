// The 9/7 wavelet in integers: twin of transform/lifting.py.  Arithmetic is modulo 2^64.
#include "bindings.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include <nanobind/ndarray.h>
#include <nanobind/stl/tuple.h>

namespace nb = nanobind;

namespace {

using Plane = nb::ndarray<const int64_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

constexpr int64_t kCoefficients[4] = {-25987, -868, 14466, 7266};

uint64_t scaled(int64_t coefficient, uint64_t sum) {
    return static_cast<uint64_t>(
        static_cast<int64_t>(static_cast<uint64_t>(coefficient) * sum + 8192) >> 14);
}

// `n` lines of `width` values, the first at `data`, `stride` apart.
struct Lines {
    uint64_t *data;
    size_t n, width, stride;
    uint64_t *line(size_t i) const { return data + i * stride; }
};

// to[i] += sign * scaled(from[i + left] + from[i + left + 1]), the nearest line beyond an end.
void lift(const Lines &to, const Lines &from, bool leftwards, int64_t coefficient, bool undo) {
    for (size_t i = 0; i < to.n; ++i) {
        const size_t last = from.n - 1;
        const size_t before = leftwards ? (i ? i - 1 : 0) : i;
        const size_t after = leftwards ? i : i + 1;
        const uint64_t *a = from.line(std::min(before, last));
        const uint64_t *b = from.line(std::min(after, last));
        uint64_t *t = to.line(i);
        for (size_t k = 0; k < to.width; ++k) {
            const uint64_t change = scaled(coefficient, a[k] + b[k]);
            t[k] = undo ? t[k] - change : t[k] + change;
        }
    }
}

void forward(const Lines &low, const Lines &high) {
    if (!high.n) return;
    for (int i = 0; i < 4; i += 2) {
        lift(high, low, false, kCoefficients[i], false);
        lift(low, high, true, kCoefficients[i + 1], false);
    }
}

void backward(const Lines &low, const Lines &high) {
    if (!high.n) return;
    for (int i = 2; i >= 0; i -= 2) {
        lift(low, high, true, kCoefficients[i + 1], true);
        lift(high, low, false, kCoefficients[i], true);
    }
}

auto numpy(std::unique_ptr<uint64_t[]> values, size_t rows, size_t columns) {
    auto *data = reinterpret_cast<int64_t *>(values.release());
    const nb::capsule owner(data, [](void *p) noexcept { delete[] static_cast<uint64_t *>(p); });
    return nb::ndarray<nb::numpy, int64_t>(data, {rows, columns}, owner);
}

std::unique_ptr<uint64_t[]> room(size_t n) {
    return std::unique_ptr<uint64_t[]>(new uint64_t[std::max<size_t>(n, 1)]);
}

auto split(Plane plane) {
    const size_t rows = plane.shape(0), columns = plane.shape(1);
    const size_t top = (rows + 1) / 2, left = (columns + 1) / 2;
    const size_t bottom = rows - top, right = columns - left;
    auto low = room(top * left), horizontal = room(top * right);
    auto vertical = room(bottom * left), diagonal = room(bottom * right);
    {
        const nb::gil_scoped_release release;
        std::vector<uint64_t> halves(rows * columns);  // low halves of all rows, then high ones
        uint64_t *lows = halves.data(), *highs = lows + rows * left;
        for (size_t y = 0; y < rows; ++y) {
            const int64_t *from = plane.data() + y * columns;
            uint64_t *l = lows + y * left, *h = highs + y * right;
            for (size_t x = 0; x < columns; ++x)
                (x & 1 ? h : l)[x >> 1] = static_cast<uint64_t>(from[x]);
            forward({l, left, 1, 1}, {h, right, 1, 1});
        }
        const auto by_rows = [&](uint64_t *half, size_t width, uint64_t *even, uint64_t *odd) {
            if (!width) return;
            forward({half, top, width, 2 * width}, {half + width, bottom, width, 2 * width});
            for (size_t y = 0; y < rows; ++y)
                std::copy_n(half + y * width, width, (y & 1 ? odd : even) + (y >> 1) * width);
        };
        by_rows(lows, left, low.get(), vertical.get());
        by_rows(highs, right, horizontal.get(), diagonal.get());
    }
    return std::tuple(numpy(std::move(low), top, left), numpy(std::move(horizontal), top, right),
                      numpy(std::move(vertical), bottom, left),
                      numpy(std::move(diagonal), bottom, right));
}

auto join(Plane low, Plane horizontal, Plane vertical, Plane diagonal) {
    const size_t top = low.shape(0), left = low.shape(1);
    const size_t bottom = vertical.shape(0), right = horizontal.shape(1);
    const size_t rows = top + bottom, columns = left + right;
    const bool fits = horizontal.shape(0) == top && vertical.shape(1) == left &&
                      diagonal.shape(0) == bottom && diagonal.shape(1) == right &&
                      top == (rows + 1) / 2 && left == (columns + 1) / 2;
    if (!fits) throw nb::value_error("bands do not fit each other");
    auto out = room(rows * columns);
    {
        const nb::gil_scoped_release release;
        std::vector<uint64_t> halves(rows * columns);
        const auto by_rows = [&](uint64_t *half, size_t width, const Plane &even, const Plane &odd) {
            if (!width) return;
            for (size_t y = 0; y < rows; ++y)
                std::copy_n((y & 1 ? odd : even).data() + (y >> 1) * width, width,
                            half + y * width);
            backward({half, top, width, 2 * width}, {half + width, bottom, width, 2 * width});
        };
        uint64_t *lows = halves.data(), *highs = lows + rows * left;
        by_rows(lows, left, low, vertical);
        by_rows(highs, right, horizontal, diagonal);
        for (size_t y = 0; y < rows; ++y) {
            uint64_t *l = lows + y * left, *h = highs + y * right;
            backward({l, left, 1, 1}, {h, right, 1, 1});
            uint64_t *to = out.get() + y * columns;
            for (size_t x = 0; x < columns; ++x) to[x] = (x & 1 ? h : l)[x >> 1];
        }
    }
    return numpy(std::move(out), rows, columns);
}

}  // namespace

void bind_transform_lifting(nb::module_ &module) {
    module.def("wavelet_split", &split);
    module.def("wavelet_join", &join);
}
