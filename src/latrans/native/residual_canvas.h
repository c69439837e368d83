// Canvases: a strip of lanes inside its margins, skewed so that a step is a row of cells.
//
// Sample (lane, column) lies at step column + lag * lane.  With that, the neighbour at (dy, dx)
// of every lane is `delta(dy, dx)` cells away, and lane 0 at step s is s * stride cells from the
// origin.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "residual_geometry.h"

namespace latrans {

template <class T>
class Canvas {
public:
    Canvas() = default;
    Canvas(const Layout &layout, ptrdiff_t columns, T start)
        : layout_(layout),
          columns_(columns),
          cells_(static_cast<size_t>((layout.end_step(columns) - layout.first_step()) *
                                     layout.stride()),
                 start) {}

    const T *origin() const {
        return cells_.data() - layout_.first_step() * layout_.stride() + layout_.up;
    }
    T *origin() { return const_cast<T *>(static_cast<const Canvas *>(this)->origin()); }

    // lane in [-up, 16 + down), column in [-left, columns + right).
    T &at(ptrdiff_t lane, ptrdiff_t column) { return origin()[layout_.delta(lane, column)]; }
    T at(ptrdiff_t lane, ptrdiff_t column) const { return origin()[layout_.delta(lane, column)]; }

    // The last lanes of a strip become the rows above the next one, margins included.
    void carry(int n_lanes) {
        for (ptrdiff_t column = -layout_.left; column < columns_ + layout_.right; ++column)
            for (int k = 1; k <= n_lanes; ++k) at(-k, column) = at(kLanes - k, column);
    }

    // Copies n values into a lane from a column on, less `origin_value`, and back.
    template <class From>
    void put_row(ptrdiff_t lane, ptrdiff_t column, ptrdiff_t n, const From *values,
                 int64_t origin_value) {
        T *cell = &at(lane, column);
        for (ptrdiff_t i = 0; i < n; ++i, cell += layout_.stride())
            *cell = static_cast<T>(int64_t{values[i]} - origin_value);
    }
    template <class To>
    void get_row(ptrdiff_t lane, ptrdiff_t column, ptrdiff_t n, To *values,
                 int64_t origin_value) const {
        const T *cell = origin() + layout_.delta(lane, column);
        for (ptrdiff_t i = 0; i < n; ++i, cell += layout_.stride())
            values[i] = static_cast<To>(int64_t{*cell} + origin_value);
    }

private:
    Layout layout_{};
    ptrdiff_t columns_ = 0;
    std::vector<T> cells_;
};

}  // namespace latrans
