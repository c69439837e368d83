// rANS operations of a band in decoding order: twin of transform/operations.py.
#include "bindings.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include <nanobind/ndarray.h>
#include <nanobind/stl/tuple.h>

#include "transform_canvas.h"
#include "transform_sizes.h"

namespace nb = nanobind;
using namespace latrans;

namespace {

template <class T, size_t n>
using Array = nb::ndarray<const T, nb::ndim<n>, nb::c_contig, nb::device::cpu>;
using Values = Array<int64_t, 2>;

struct Operations {
    std::vector<int64_t> columns[4];  // lane, start, frequency, bits
    void add(int64_t lane, int64_t start, int64_t frequency, int64_t bits) {
        const int64_t row[4] = {lane, start, frequency, bits};
        for (int i = 0; i < 4; ++i) columns[i].push_back(row[i]);
    }
};

struct Told {
    size_t at, row, column;
    int64_t token, n_raw, raw, lane;
};

// Token of a magnitude below 2^24, and the raw bits that it leaves open.
void tokenise(int64_t magnitude, Told &told) {
    told.token = magnitude;
    told.n_raw = told.raw = 0;
    if (magnitude < kDirect) return;
    const int exponent = highest_bit(static_cast<uint64_t>(magnitude));
    told.n_raw = exponent - 1;
    told.raw = magnitude & ((int64_t{1} << told.n_raw) - 1);
    told.token = kDirect + 2 * (exponent - 4) + (magnitude >> (exponent - 1) & 1);
}

auto numpy(const std::vector<int64_t> &values) {
    auto *data = new int64_t[std::max<size_t>(1, values.size())];
    std::copy(values.begin(), values.end(), data);
    const nb::capsule owner(data, [](void *p) noexcept { delete[] static_cast<int64_t *>(p); });
    return nb::ndarray<nb::numpy, int64_t>(data, {values.size()}, owner);
}

auto operations(Values values, Values classes, Array<uint16_t, 2> tables,
                Array<uint32_t, 2> starts, Array<uint16_t, 2> signs, size_t sign_row,
                Array<int64_t, 1> weights, size_t n_states) {
    const size_t rows = values.shape(0), columns = values.shape(1), n_symbols = tables.shape(1);
    bool fits = classes.shape(0) == rows && classes.shape(1) == columns && n_states >= 1 &&
                n_symbols == kTokens + 1 && starts.shape(0) == tables.shape(0) &&
                starts.shape(1) == n_symbols && signs.shape(1) == 2 &&
                (sign_row + 1) * kSignTables <= signs.shape(0) && weights.shape(0) == kSingle;
    for (size_t i = 0; fits && i < rows * columns; ++i)
        fits = std::abs(values.data()[i]) < 1 << 24 && classes.data()[i] >= 0 &&
               classes.data()[i] < static_cast<int64_t>(tables.shape(0));
    if (!fits) throw nb::value_error("values do not fit the transform");
    Operations out;
    {
        const nb::gil_scoped_release release;
        for (auto &column : out.columns) column.reserve(rows * columns * 3 / 2);
        Canvas around(rows, columns);
        for (size_t y = 0; y < rows; ++y)
            for (size_t x = 0; x < columns; ++x)
                *around.at(y, x) = static_cast<int32_t>(std::min<int64_t>(
                    std::max<int64_t>(values.data()[y * columns + x], -kSignLimit), kSignLimit));
        const auto sign = [&](const Told &told) {
            const int32_t *cell = around.at(told.row, told.column);
            int64_t lean = 0;
            for (int k = 0; k < kSingle; ++k) lean += weights.data()[k] * cell[around.delta(k)];
            const auto bucket = std::min<int64_t>(std::abs(lean) >> 2, kSignBuckets - 1);
            const size_t table = sign_row * kSignTables +
                                 static_cast<size_t>(bucket * kSignSizes +
                                                     std::min<int64_t>(told.token, kSignSizes) - 1);
            const int64_t first = signs.data()[2 * table];
            const bool second = (values.data()[told.at] < 0) != (lean < 0);
            out.add(told.lane, second ? first : 0, second ? 4096 - first : first, 12);
        };
        Told step_of[kLanes];
        for (size_t top = 0; top < rows; top += kLanes) {
            const size_t height = std::min<size_t>(kLanes, rows - top);
            for (size_t step = 0; step < columns + kLag * (height - 1); ++step) {
                int n = 0;
                for (size_t lane = 0; lane < height && kLag * lane <= step; ++lane) {
                    const size_t x = step - kLag * lane;
                    if (x >= columns) continue;
                    Told &told = step_of[n++];
                    told.row = top + lane;
                    told.column = x;
                    told.at = told.row * columns + x;
                    told.lane = static_cast<int64_t>(lane % n_states);
                    tokenise(std::abs(values.data()[told.at]), told);
                    const auto at = static_cast<size_t>(classes.data()[told.at]) * n_symbols;
                    size_t symbol = at + static_cast<size_t>(told.token);
                    if (!tables.data()[symbol]) symbol = at + kEscape;
                    out.add(told.lane, starts.data()[symbol], tables.data()[symbol], 12);
                }
                for (int i = 0; i < n; ++i) {
                    const Told &t = step_of[i];
                    const auto at = static_cast<size_t>(classes.data()[t.at]) * n_symbols;
                    if (!tables.data()[at + static_cast<size_t>(t.token)])
                        out.add(t.lane, t.token, 1, 8);
                }
                for (int i = 0; i < n; ++i) {
                    const Told &t = step_of[i];
                    if (t.token) sign(t);
                    if (t.n_raw)
                        out.add(t.lane, t.raw & 0xFFFF, 1, std::min<int64_t>(t.n_raw, 16));
                }
                for (int i = 0; i < n; ++i)
                    if (step_of[i].n_raw > 16)
                        out.add(step_of[i].lane, step_of[i].raw >> 16, 1, step_of[i].n_raw - 16);
            }
        }
    }
    return std::tuple(numpy(out.columns[0]), numpy(out.columns[1]), numpy(out.columns[2]),
                      numpy(out.columns[3]));
}

}  // namespace

void bind_transform_operations(nb::module_ &module) {
    module.def("transform_operations", &operations);
}
