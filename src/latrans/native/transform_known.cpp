// Inputs of a band from bands that are decoded already: twin of `known` in transform/contexts.py.
#include "transform_known.h"

#include <algorithm>
#include <cstdlib>

namespace latrans {
namespace {

constexpr int64_t kLimit = int64_t{1} << 48;

// A band seen at another band's places: indices are clamped to its last row and column.
struct Fitted {
    const Grid &grid;
    int64_t operator()(size_t y, size_t x) const {
        return grid.at(std::min(y, grid.rows - 1), std::min(x, grid.columns - 1));
    }
};

// Sums over 3 by 3 places, zeros beyond the border.
template <class Source>
std::vector<int64_t> boxes(const Source &source, size_t rows, size_t columns) {
    std::vector<int64_t> across(rows * columns), out(rows * columns);
    for (size_t y = 0; y < rows; ++y) {
        int64_t before = 0, here = source(y, 0);
        for (size_t x = 0; x < columns; ++x) {
            const int64_t after = x + 1 < columns ? source(y, x + 1) : 0;
            across[y * columns + x] = before + here + after;
            before = here;
            here = after;
        }
    }
    for (size_t y = 0; y < rows; ++y)
        for (size_t x = 0; x < columns; ++x) {
            const size_t i = y * columns + x;
            out[i] = across[i] + (y ? across[i - columns] : 0) +
                     (y + 1 < rows ? across[i + columns] : 0);
        }
    return out;
}

class Writer {
public:
    Writer(const Sizes &sizes, size_t rows, size_t columns, int8_t *out)
        : sizes_(sizes), rows_(rows), columns_(columns), out_(out) {}

    template <class Value>
    void write(size_t row, Value value) {
        int8_t *to = out_ + row * rows_ * columns_;
        for (size_t y = 0; y < rows_; ++y)
            for (size_t x = 0; x < columns_; ++x) *to++ = static_cast<int8_t>(value(y, x));
    }

    void parent(const Grid &p) {
        const auto here = [&p](size_t y, size_t x) {
            return Fitted{p}(y >> 1, x >> 1);
        };
        const auto beside = [](size_t i, size_t n) {
            const ptrdiff_t at = static_cast<ptrdiff_t>(i >> 1) + 2 * static_cast<ptrdiff_t>(i & 1) - 1;
            return static_cast<size_t>(
                std::min(std::max<ptrdiff_t>(at, 0), static_cast<ptrdiff_t>(n) - 1));
        };
        write(0, [&](size_t y, size_t x) { return sizes_(4 * here(y, x)); });
        write(1, [&](size_t y, size_t x) {
            const size_t py = std::min(y >> 1, p.rows - 1), px = std::min(x >> 1, p.columns - 1);
            return sizes_(2 * p.at(py, px) + p.at(beside(y, p.rows), px) +
                          p.at(py, beside(x, p.columns)));
        });
        const auto box = boxes([&p](size_t y, size_t x) { return p.at(y, x); }, p.rows, p.columns);
        write(2, [&](size_t y, size_t x) {
            return sizes_(box[std::min(y >> 1, p.rows - 1) * p.columns +
                              std::min(x >> 1, p.columns - 1)]);
        });
    }

    void other(size_t row, const Grid &grid) {
        const Fitted fitted{grid};
        const auto box = boxes(fitted, rows_, columns_);
        write(row, [&](size_t y, size_t x) { return sizes_(4 * fitted(y, x)); });
        write(row + 1, [&](size_t y, size_t x) { return sizes_(box[y * columns_ + x] >> 1); });
    }

    // First and second differences of the picture along one axis, then along the other.
    void slopes(size_t row, const Grid &low, int64_t step) {
        for (const bool turned : {false, true}) {
            const size_t rows = turned ? low.columns : low.rows;
            const size_t columns = turned ? low.rows : low.columns;
            const auto at = [&](size_t y, size_t x) {
                const int64_t v = turned ? low.at(x, y) : low.at(y, x);
                return std::min(std::max(v, -kLimit), kLimit);
            };
            std::vector<int64_t> first(rows * columns), second(first), aside(first);
            for (size_t y = 0; y < rows; ++y) {
                const size_t above = y ? y - 1 : 0, below = std::min(y + 1, rows - 1);
                for (size_t x = 0; x < columns; ++x) {
                    const size_t i = y * columns + x, last = columns - 1;
                    const int64_t here = at(y, x), next = at(y, std::min(x + 1, last));
                    first[i] = std::llabs(next - here);
                    second[i] = std::llabs(at(y, x ? x - 1 : 0) - here - next +
                                           at(y, std::min(x + 2, last)));
                    aside[i] = std::llabs(at(below, x) - at(above, x));
                }
            }
            auto wide =
                boxes([&](size_t y, size_t x) { return first[y * columns + x]; }, rows, columns);
            for (int64_t &w : wide) w >>= 3;
            for (const auto *values : {&first, &second, &wide, &aside})
                relative(row++, *values, rows, columns, turned, step);
        }
    }

private:
    void relative(size_t row, const std::vector<int64_t> &values, size_t rows, size_t columns,
                  bool turned, int64_t step) {
        const int64_t unit = sizes_.log2(step);
        write(row, [&](size_t y, size_t x) {
            if (turned) std::swap(y, x);
            const int64_t v = values[std::min(y, rows - 1) * columns + std::min(x, columns - 1)];
            return std::min<int64_t>((sizes_.log2(v + step) - unit) >> 1, 127);
        });
    }

    const Sizes &sizes_;
    size_t rows_, columns_;
    int8_t *out_;
};

}  // namespace

void known_inputs(const Sizes &sizes, const Surroundings &s, size_t rows, size_t columns,
                  int8_t *out) {
    Writer writer(sizes, rows, columns, out);
    if (s.parent.data) writer.parent(s.parent);
    for (size_t i = 0; i < s.siblings.size(); ++i) writer.other(3 + 2 * i, s.siblings[i]);
    for (size_t i = 0; i < s.earlier.size(); ++i) writer.other(7 + 2 * i, s.earlier[i]);
    if (s.low.data) writer.slopes(11, s.low, s.step);
}

}  // namespace latrans
