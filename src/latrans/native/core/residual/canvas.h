// Canvases: a strip of lanes inside its margins, skewed so that a step is a row of cells.
//
// Sample (lane, column) lies at step column + lag * lane.  With that, the neighbour at (dy, dx)
// of every lane is `delta(dy, dx)` cells away, and lane 0 at step s is s * stride cells from the
// origin.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "residual/geometry.h"
#include "residual/scratch.h"

namespace latrans {

template <class T>
class Canvas {
public:
    Canvas() = default;
    Canvas(const Layout &layout, ptrdiff_t columns, T start, ScratchFrame &scratch)
        : layout_(layout), columns_(columns) {
        // One step more at either end, for whole vectors.
        const ptrdiff_t before = 1 - layout.first_step();
        const auto n = static_cast<size_t>((before + layout.end_step(columns) + 1) *
                                           layout.stride());
        T *cells = scratch.take<T>(n);
        std::fill_n(cells, n, start);
        origin_ = cells + before * layout.stride();
    }

    const T *origin() const { return origin_; }
    T *origin() { return origin_; }

    // lane in [-up, 16 + down), column in [-left, columns + right).
    T &at(ptrdiff_t lane, ptrdiff_t column) { return origin_[layout_.delta(lane, column)]; }

    // The last lanes of a strip become the rows above the next one, margins included.
    void carry(int n_lanes) {
        const ptrdiff_t stride = layout_.stride();
        const ptrdiff_t from = (layout_.lag * stride + 1) * kLanes;
        for (ptrdiff_t step = layout_.first_step(); step < columns_ + layout_.right; ++step)
            for (int k = 1; k <= n_lanes; ++k)
                origin_[step * stride - k] = origin_[step * stride - k + from];
    }

    // Copies n values into a lane from a column on, less `origin_value`.
    template <class From>
    void put_row(ptrdiff_t lane, ptrdiff_t column, ptrdiff_t n, const From *values,
                 int64_t origin_value) {
        T *cell = &at(lane, column);
        for (ptrdiff_t i = 0; i < n; ++i, cell += layout_.stride())
            *cell = static_cast<T>(int64_t{values[i]} - origin_value);
    }

private:
    Layout layout_{};
    ptrdiff_t columns_ = 0;
    T *origin_ = nullptr;
};

}  // namespace latrans
