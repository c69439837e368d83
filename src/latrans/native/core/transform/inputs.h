// Inputs of a band from bands that are decoded already, row by row: twin of `known` in
// transform/contexts.py.
#pragma once
#include <new>

#include "transform/sizes.h"

namespace latrans {
namespace {
namespace transform_kernel {

constexpr size_t kPad = 64;  // values that rows are longer, at either end

inline size_t padded(size_t n) { return (n + 63) / 64 * 64; }

template <class T>
T *row_of(TransformArena &arena, size_t n) {
    return static_cast<T *>(arena.take((padded(n) + 2 * kPad) * sizeof(T))) + kPad;
}

// Magnitudes of a row as of `n` columns, its last value repeated at the end.
inline void magnitudes_of(const TransformGrid &grid, size_t row, uint16_t *to, size_t n) {
    const int32_t *from = grid.data + row * grid.columns;
    const size_t here = least(n, grid.columns);
    for (size_t x = 0; x < here; ++x) {
        const int32_t v = from[x] < 0 ? -from[x] : from[x];
        to[x] = static_cast<uint16_t>(least(v, kLargest));
    }
    for (size_t x = here; x < n; ++x) to[x] = to[here - 1];
}

template <class T>
void sums_of_three(const T *from, T *to, size_t n) {
    for (size_t x = 0; x < n; ++x) to[x] = static_cast<T>(from[x - 1] + from[x] + from[x + 1]);
}

// A band of the same level or plane.
class Other {
public:
    Other(const TransformGrid &grid, size_t rows, size_t columns, TransformArena &arena)
        : grid_(grid), rows_(rows), n_(columns), q_(row_of<uint16_t>(arena, columns)) {
        for (auto &row : own_) row = row_of<uint16_t>(arena, columns);
        for (auto &row : sums_) row = row_of<uint16_t>(arena, columns);
    }
    void row(const TransformLogs &logs, size_t y, uint8_t *own, uint8_t *box) {
        if (y == 0) load(0);
        load(y + 1);
        const uint16_t *m = own_[y % 2];
        for (size_t x = 0; x < n_; ++x) q_[x] = static_cast<uint16_t>(4 * m[x]);
        sizes(logs, q_, own, padded(n_));
        const uint16_t *a = sums_[(y + 2) % 3], *b = sums_[y % 3], *c = sums_[(y + 1) % 3];
        for (size_t x = 0; x < n_; ++x) q_[x] = static_cast<uint16_t>((a[x] + b[x] + c[x]) >> 1);
        sizes(logs, q_, box, padded(n_));
    }

private:
    void load(size_t y) {
        uint16_t *sums = sums_[y % 3], *own = own_[y % 2];
        if (y >= rows_) {
            for (size_t x = 0; x < n_; ++x) sums[x] = 0;
            return;
        }
        magnitudes_of(grid_, least(y, grid_.rows - 1), own, n_);
        sums_of_three(own, sums, n_);
    }

    TransformGrid grid_;
    size_t rows_, n_;
    uint16_t *own_[2], *sums_[3], *q_;
};

// The band of the same kind one level up.
class Parent {
public:
    Parent(const TransformGrid &grid, size_t columns, TransformArena &arena)
        : grid_(grid), n_(columns / 2 + 1), here_(row_of<uint16_t>(arena, n_ + 1)),
          beside_(row_of<uint16_t>(arena, n_ + 1)), q_(row_of<uint16_t>(arena, n_)) {
        for (auto &row : around_) row = row_of<uint16_t>(arena, grid.columns);
        for (auto &row : bytes_) row = row_of<uint8_t>(arena, n_);
    }
    // Rows of at least 2 (columns / 2 + 1) bytes.
    void row(const TransformLogs &logs, size_t y, uint8_t *own, uint8_t *near, uint8_t *box) {
        const size_t last = grid_.rows - 1, at = least(y >> 1, last);
        if (!(y & 1)) {
            load(at, here_);
            for (size_t x = 0; x < n_; ++x) q_[x] = static_cast<uint16_t>(4 * here_[x]);
            sizes(logs, q_, bytes_[0], padded(n_));
            boxes(at);
            sizes(logs, q_, bytes_[1], padded(n_));
            doubled(bytes_[0], bytes_[0], own);
            doubled(bytes_[1], bytes_[1], box);
        }
        const size_t back = y >> 1 ? (y >> 1) - 1 : 0;
        load(least(y & 1 ? (y >> 1) + 1 : back, last), beside_);
        for (int side = 0; side < 2; ++side) {
            const uint16_t *aside = here_ + (side ? 1 : -1);
            for (size_t x = 0; x < n_; ++x)
                q_[x] = static_cast<uint16_t>(2 * here_[x] + beside_[x] + aside[x]);
            sizes(logs, q_, bytes_[2 + side], padded(n_));
        }
        doubled(bytes_[2], bytes_[3], near);
    }

private:
    void load(size_t row, uint16_t *to) {
        magnitudes_of(grid_, row, to, n_ + 1);
        to[-1] = to[0];
    }
    void boxes(size_t at) {
        const size_t n = grid_.columns, cut = least(n_, n);
        for (size_t x = 0; x < n_; ++x) q_[x] = 0;
        for (size_t row = at ? at - 1 : 0; row <= least(at + 1, grid_.rows - 1); ++row) {
            magnitudes_of(grid_, row, around_[0], n);
            sums_of_three(around_[0], around_[1], n);
            for (size_t x = 0; x < cut; ++x)
                q_[x] = static_cast<uint16_t>(q_[x] + around_[1][x]);
        }
        for (size_t x = cut; x < n_; ++x) q_[x] = q_[cut - 1];
    }
    void doubled(const uint8_t *even, const uint8_t *odd, uint8_t *to) const {
        for (size_t x = 0; x < n_; ++x) {
            to[2 * x] = even[x];
            to[2 * x + 1] = odd[x];
        }
    }

    TransformGrid grid_;
    size_t n_;
    uint16_t *here_, *beside_, *q_, *around_[2];
    uint8_t *bytes_[4];
};

// Differences of the picture so far.
template <class T>
class Slopes {
public:
    Slopes(const TransformBand &band, TransformArena &arena)
        : low_(static_cast<const T *>(band.low)), rows_(band.low_rows), n_(band.low_columns),
          cut_(band.columns), step_(static_cast<T>(band.step)) {
        for (auto &row : own_) row = row_of<T>(arena, n_ + 3);
        for (auto &row : along_) row = row_of<T>(arena, n_);
        for (auto &row : across_) row = row_of<T>(arena, n_);
        difference_ = row_of<T>(arena, n_);
        for (auto &row : out_) row = row_of<T>(arena, n_);
    }
    // Rows to[0] to to[7].
    void row(const TransformLogs &logs, size_t y, uint8_t *const *to) {
        if (y == 0) {
            for (size_t r = 0; r < 3; ++r) load(r);
            sums(0);
        } else {
            load(y + 2);
        }
        sums(y + 1);
        const T *above = line(y ? y - 1 : 0), *here = line(y), *below = line(y + 1);
        const T *next = line(y + 2);
        for (size_t x = 0; x < cut_; ++x) {
            out_[0][x] = gap(here[x + 1] - here[x]);
            out_[1][x] = gap(here[x - 1] - here[x] - here[x + 1] + here[x + 2]);
            out_[3][x] = gap(below[x] - above[x]);
            out_[4][x] = gap(below[x] - here[x]);
            out_[5][x] = gap(above[x] - here[x] - below[x] + next[x]);
            out_[7][x] = gap(here[x + 1] - here[x - 1]);
        }
        boxes(along_, y, out_[2]);
        boxes(across_, y, out_[6]);
        for (int k = 0; k < 8; ++k) relative(logs, out_[k], step_, to[k], padded(cut_));
    }

private:
    static T gap(T difference) { return difference < 0 ? -difference : difference; }
    const T *line(size_t y) const { return own_[least(y, rows_ - 1) % 4]; }
    void load(size_t y) {
        if (y >= rows_) return;
        const T *from = low_ + y * n_;
        T *to = own_[y % 4];
        if constexpr (sizeof(T) == 8) {
            // Only damaged frames reach the limit; sums of what is within it have a logarithm.
            constexpr T limit = T{1} << 48;
            for (size_t x = 0; x < n_; ++x) to[x] = most(-limit, least(from[x], limit));
        } else {
            for (size_t x = 0; x < n_; ++x) to[x] = from[x];
        }
        to[-1] = to[0];
        to[n_] = to[n_ + 1] = to[n_ - 1];
    }
    // Sums of three first differences in a row.
    void sums(size_t y) {
        T *along = along_[y % 3], *across = across_[y % 3];
        if (y >= rows_) {
            for (size_t x = 0; x < n_; ++x) along[x] = across[x] = 0;
            return;
        }
        const T *here = line(y), *below = line(y + 1);
        for (size_t x = 0; x < n_; ++x) difference_[x] = gap(here[x + 1] - here[x]);
        sums_of_three(difference_, along, n_);
        for (size_t x = 0; x < n_; ++x) difference_[x] = gap(below[x] - here[x]);
        sums_of_three(difference_, across, n_);
    }
    void boxes(T *const *sums, size_t y, T *to) const {
        const T *a = sums[(y + 2) % 3], *b = sums[y % 3], *c = sums[(y + 1) % 3];
        for (size_t x = 0; x < cut_; ++x) to[x] = (a[x] + b[x] + c[x]) >> 3;
    }

    const T *low_;
    size_t rows_, n_, cut_;
    T step_;
    T *own_[4], *along_[3], *across_[3], *difference_, *out_[8];
};

// Rows are asked for in order, from the first.
class Inputs {
public:
    Inputs(const TransformBand &band, TransformArena &arena) : band_(band), columns_(band.columns) {
        for (auto &row : rows_) row = row_of<uint8_t>(arena, columns_ + 2);
        if (band.parent.data) parent_ = make<Parent>(arena, band.parent, columns_, arena);
        for (int i = 0; i < 4; ++i)
            if (band.others[i].data)
                others_[i] = make<Other>(arena, band.others[i], band.rows, columns_, arena);
        if (!band.low) return;
        if (band.wide)
            wide_ = make<Slopes<int64_t>>(arena, band, arena);
        else
            narrow_ = make<Slopes<int32_t>>(arena, band, arena);
    }
    // Fills rows to[0 .. kPlaceQuads) of dwords, `columns` each, rounded up to a multiple of 16.
    void row(size_t y, uint32_t *const *to) {
        const TransformLogs &logs = *band_.logs;
        if (parent_) parent_->row(logs, y, rows_[0], rows_[1], rows_[2]);
        for (int i = 0; i < 4; ++i)
            if (others_[i]) others_[i]->row(logs, y, rows_[3 + 2 * i], rows_[4 + 2 * i]);
        if (narrow_) narrow_->row(logs, y, rows_ + 11);
        if (wide_) wide_->row(logs, y, rows_ + 11);
        for (int g = 0; g < kPlaceQuads; ++g)
            transform_kernel::quads(rows_[4 * g], rows_[4 * g + 1], rows_[4 * g + 2],
                                    rows_[4 * g + 3], to[g], columns_);
    }

private:
    template <class Part, class... Args>
    static Part *make(TransformArena &arena, Args &&...args) {
        return new (arena.take(sizeof(Part))) Part(args...);
    }

    const TransformBand &band_;
    size_t columns_;
    uint8_t *rows_[4 * kPlaceQuads];
    Parent *parent_ = nullptr;
    Other *others_[4] = {};
    Slopes<int32_t> *narrow_ = nullptr;
    Slopes<int64_t> *wide_ = nullptr;
};

}  // namespace transform_kernel
}  // namespace
}  // namespace latrans
