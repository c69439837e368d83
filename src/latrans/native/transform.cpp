// The two loops of a band of the lossy transform: twin of transform/backend.py.
//
// Coefficients go through the network sixteen at a time: neighbours in a row where a band's values
// are known, the lanes of a step where they are being decoded.  `Program.check` has proven every
// accumulator below 2^24, so int32 cannot overflow.
#include "bindings.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "entropy_rans.h"
#include "entropy_tables.h"
#include "transform_canvas.h"
#include "transform_known.h"
#include "transform_network.h"
#include "transform_sizes.h"

namespace nb = nanobind;
using namespace latrans;

namespace {

static_assert(kLanes == kItems, "the lanes of a step go through the network together");

template <class T, size_t n>
using Array = nb::ndarray<const T, nb::ndim<n>, nb::c_contig, nb::device::cpu>;
using Known = Array<int8_t, 3>;
using Values = Array<int64_t, 2>;
using Optional = std::optional<Values>;
using LayerArrays = std::tuple<Array<int8_t, 2>, Array<int32_t, 1>, Array<uint8_t, 1>, int, int>;

auto numpy(std::unique_ptr<int64_t[]> values, size_t rows, size_t columns) {
    int64_t *data = values.release();
    const nb::capsule owner(data, [](void *p) noexcept { delete[] static_cast<int64_t *>(p); });
    return nb::ndarray<nb::numpy, int64_t>(data, {rows, columns}, owner);
}

class TransformModel {
public:
    TransformModel(const std::vector<LayerArrays> &layers, Array<uint16_t, 2> tables,
                   Array<uint16_t, 2> signs, Array<int64_t, 1> logs)
        : tables_(tables.data(), tables.shape(0), tables.shape(1)),
          sizes_(logs.data(), logs.shape(0)) {
        if (tables_.n_symbols() != kTokens + 1 )
            throw nb::value_error("tables do not fit the transform");
        if (signs.shape(1) != 2) throw nb::value_error("tables of signs have two symbols");
        for (size_t i = 0; i < signs.shape(0); ++i) {
            const uint16_t first = signs.data()[2 * i];
            if (first < 1 || first + signs.data()[2 * i + 1] != static_cast<int>(kProbabilities))
                throw nb::value_error("a table of signs does not sum to 4096");
            signs_.push_back(first);
        }
        int64_t limit = 127;
        for (const auto &[weight, bias, shift, lo, hi] : layers) {
            if (bias.shape(0) != weight.shape(0) || shift.shape(0) != weight.shape(0) ||
                (network_.n_out() && network_.n_out() != weight.shape(1)))
                throw nb::value_error("layer does not fit its network");
            network_.add(weight.data(), bias.data(), shift.data(), weight.shape(1),
                         weight.shape(0), lo, hi, static_cast<int32_t>(limit));
            limit = std::max(std::abs(int64_t{lo}), std::abs(int64_t{hi}));
        }
        if (network_.n_out() != 1 || network_.n_in() < kCausal + 19)
            throw nb::value_error("network does not fit the transform");
        n_known_ = network_.n_in() - kCausal;
    }

    // Inputs that differ by place, the others zero.
    auto known(size_t rows, size_t columns, Optional parent, const std::vector<Values> &siblings,
               const std::vector<Values> &earlier, Optional low, int64_t step) const {
        if (step < 1 || step > int64_t{1} << 50 || siblings.size() > 2 || earlier.size() > 2 ||
            !rows || !columns)
            throw nb::value_error("surroundings do not fit a band");
        const size_t n = n_known_ * rows * columns;
        std::unique_ptr<int8_t[]> out(new int8_t[n]());
        Surroundings around;
        if (parent) around.parent = grid(*parent);
        if (low) around.low = grid(*low);
        for (const Values &s : siblings) around.siblings.push_back(grid(s));
        for (const Values &e : earlier) around.earlier.push_back(grid(e));
        around.step = step;
        {
            const nb::gil_scoped_release release;
            known_inputs(sizes_, around, rows, columns, out.get());
        }
        int8_t *data = out.release();
        const nb::capsule owner(data, [](void *p) noexcept { delete[] static_cast<int8_t *>(p); });
        return nb::ndarray<nb::numpy, int8_t>(data, {n_known_, rows, columns}, owner);
    }

    // Classes of a band's coefficients, of those that are wanted; the others 0.
    auto classify(Known known, Values magnitudes, Array<bool, 2> wanted) const {
        const size_t rows = magnitudes.shape(0), columns = magnitudes.shape(1);
        check(known, rows, columns);
        if (wanted.shape(0) != rows || wanted.shape(1) != columns)
            throw nb::value_error("what is wanted does not fit the band");
        const size_t area = rows * columns;
        std::unique_ptr<int64_t[]> classes(new int64_t[std::max<size_t>(1, area)]());
        {
            const nb::gil_scoped_release release;
            Canvas canvas(rows, columns);
            for (size_t y = 0; y < rows; ++y)
                for (size_t x = 0; x < columns; ++x)
                    *canvas.at(y, x) = static_cast<int32_t>(std::min<int64_t>(
                        std::max<int64_t>(magnitudes.data()[y * columns + x], 0), 1 << 24));
            Work work(network_.widest());
            int n = 0;
            const auto flush = [&] {
                answer(known, n, work);
                for (int i = 0; i < n; ++i) classes[work.at[i]] = work.classes[i];
                n = 0;
            };
            for (size_t y = 0; y < rows; ++y)
                for (size_t x = 0; x < columns; ++x) {
                    const size_t at = y * columns + x;
                    if (!wanted.data()[at]) continue;
                    causal(canvas, y, x, n, work);
                    work.at[n++] = at;
                    if (n == kLanes) flush();
                }
            if (n) flush();
        }
        return numpy(std::move(classes), rows, columns);
    }

    auto decode(RansDecoder &decoder, Known known, size_t n_states, size_t sign_row,
                Array<int64_t, 1> weights) const {
        const size_t rows = known.shape(1), columns = known.shape(2);
        check(known, rows, columns);
        if (n_states < 1 || n_states > decoder.n_states())
            throw nb::value_error("n_states out of range");
        if (weights.shape(0) != kSingle || (sign_row + 1) * kSignTables > signs_.size())
            throw nb::value_error("weights of signs do not fit the transform");
        const uint16_t *signs = &signs_[sign_row * kSignTables];
        const size_t n = std::max<size_t>(1, rows * columns);
        std::unique_ptr<int64_t[]> values(new int64_t[n]), classes(new int64_t[n]);
        {
            const nb::gil_scoped_release release;
            const std::lock_guard lock(decoder.mutex);
            Canvas canvas(rows, columns), signed_values(rows, columns);
            Work work(network_.widest());
            for (size_t top = 0; top < rows; top += kLanes) {
                const size_t height = std::min<size_t>(kLanes, rows - top);
                for (size_t step = 0; step < columns + kLag * (height - 1); ++step) {
                    // Lanes whose column exists: x = step - kLag * lane.
                    const size_t first = step < columns ? 0 : (step - columns) / kLag + 1;
                    const size_t last = std::min(height - 1, step / kLag);
                    if (first > last) continue;
                    const int n_lanes = static_cast<int>(last - first + 1);
                    for (int i = 0; i < n_lanes; ++i) {
                        const size_t lane = first + i, x = step - kLag * lane;
                        causal(canvas, top + lane, x, i, work);
                        work.at[i] = (top + lane) * columns + x;
                        const int32_t *cell = signed_values.at(top + lane, x);
                        int64_t lean = 0;
                        for (int k = 0; k < kSingle; ++k)
                            lean += weights.data()[k] * cell[signed_values.delta(k)];
                        work.leans[i] = static_cast<int32_t>(lean);
                    }
                    answer(known, n_lanes, work);
                    pop(decoder, signs, n_states, first, n_lanes, work);
                    for (int i = 0; i < n_lanes; ++i) {
                        const size_t lane = first + i;
                        const int32_t value = work.values[i];
                        values[work.at[i]] = value;
                        classes[work.at[i]] = work.classes[i];
                        const size_t x = step - kLag * lane;
                        *canvas.at(top + lane, x) = value < 0 ? -value : value;
                        *signed_values.at(top + lane, x) =
                            std::min(std::max(value, -kSignLimit), kSignLimit);
                    }
                }
            }
        }
        return std::pair(numpy(std::move(values), rows, columns),
                         numpy(std::move(classes), rows, columns));
    }

private:
    struct Work {
        explicit Work(size_t widest)
            : rows{std::vector<int32_t>(widest * kLanes), std::vector<int32_t>(widest * kLanes)} {}
        std::vector<int32_t> rows[2];  // (inputs, kLanes)
        size_t at[kLanes] = {};
        int32_t classes[kLanes] = {}, values[kLanes] = {}, leans[kLanes] = {};
    };

    static Grid grid(const Values &values) {
        if (!values.size()) throw nb::value_error("a band without values is none");
        return {values.data(), values.shape(0), values.shape(1)};
    }

    void check(const Known &known, size_t rows, size_t columns) const {
        if (known.shape(0) != n_known_ || known.shape(1) != rows || known.shape(2) != columns)
            throw nb::value_error("inputs do not fit the band");
    }

    void causal(Canvas &canvas, size_t y, size_t x, int lane, Work &work) const {
        const int32_t *cell = canvas.at(y, x);
        int64_t m[kNeighbours], wide = 0;
        for (int i = 0; i < kNeighbours; ++i) wide += m[i] = cell[canvas.delta(i)];
        int32_t *to = work.rows[0].data() + lane;
        for (int i = 0; i < kSingle; ++i) to[i * kLanes] = sizes_(4 * m[i]);
        to[kSingle * kLanes] = sizes_(2 * (m[0] + m[1]) + m[2] + m[3]);
        to[(kSingle + 1) * kLanes] = sizes_(wide);
    }

    // Classes of the first n lanes, whose causal inputs are in place.
    void answer(const Known &known, int n, Work &work) const {
        const size_t area = known.shape(1) * known.shape(2);
        int32_t *to = work.rows[0].data() + kCausal * kLanes;
        for (size_t k = 0; k < n_known_; ++k, to += kLanes) {
            const int8_t *from = known.data() + k * area;
            for (int i = 0; i < n; ++i) to[i] = from[work.at[i]];
        }
        int32_t *const rows[2] = {work.rows[0].data(), work.rows[1].data()};
        const int32_t *output = network_.run(rows);
        const auto last = static_cast<int32_t>(tables_.n_tables()) - 1;
        for (int i = 0; i < n; ++i)
            work.classes[i] =
                std::min(std::max(((output[i] + 8) >> 4) + 32, 0), last);
    }

    // Values of a step's lanes: all tokens, then escapes, then signs and raw bits.
    void pop(RansDecoder &decoder, const uint16_t *signs, size_t n_states, size_t first, int n,
             Work &work) const {
        uint32_t token[kLanes], raw[kLanes] = {};
        int n_raw[kLanes];
        bool minus[kLanes];
        for (int i = 0; i < n; ++i) {
            const auto t = static_cast<size_t>(work.classes[i]);
            token[i] = decoder.pop((first + i) % n_states, tables_.slots(t), tables_.intervals(t));
        }
        for (int i = 0; i < n; ++i)
            if (token[i] == kEscape)
                token[i] = std::min<uint32_t>(decoder.pop_raw((first + i) % n_states, 8),
                                              kTokens - 1);
        for (int i = 0; i < n; ++i) {
            n_raw[i] = token[i] >= kDirect ? (token[i] - kDirect) / 2 + 3 : 0;
            minus[i] = work.leans[i] < 0;
            if (token[i]) {
                const int bucket = std::min(std::abs(work.leans[i]) >> 2, kSignBuckets - 1);
                const int size = std::min(static_cast<int>(token[i]), kSignSizes) - 1;
                minus[i] ^= decoder.pop_second((first + i) % n_states,
                                               signs[bucket * kSignSizes + size]);
            }
            if (n_raw[i])
                raw[i] = decoder.pop_raw((first + i) % n_states, std::min(n_raw[i], 16));
        }
        for (int i = 0; i < n; ++i) {
            if (n_raw[i] > 16)
                raw[i] |= decoder.pop_raw((first + i) % n_states, n_raw[i] - 16) << 16;
            auto magnitude = static_cast<int32_t>(token[i]);
            if (token[i] >= kDirect) {
                const uint32_t code = token[i] - kDirect, exponent = code / 2 + 4;
                magnitude = static_cast<int32_t>(1u << exponent | (code & 1) << (exponent - 1) |
                                                 raw[i]);
            }
            work.values[i] = minus[i] ? -magnitude : magnitude;
        }
    }

    SymbolTables<uint8_t> tables_;
    std::vector<uint16_t> signs_;  // frequency of the first symbol
    Sizes sizes_;
    DenseNetwork network_;
    size_t n_known_ = 0;
};

}  // namespace

void bind_transform_lifting(nb::module_ &module);
void bind_transform_operations(nb::module_ &module);

void bind_transform(nb::module_ &module) {
    nb::class_<TransformModel>(module, "TransformModel")
        .def(nb::init<const std::vector<LayerArrays> &, Array<uint16_t, 2>, Array<uint16_t, 2>,
                      Array<int64_t, 1>>())
        .def("known", &TransformModel::known, nb::arg("rows"), nb::arg("columns"),
             nb::arg("parent").none(), nb::arg("siblings"), nb::arg("earlier"),
             nb::arg("low").none(), nb::arg("step"))
        .def("classify", &TransformModel::classify)
        .def("decode", &TransformModel::decode);
    bind_transform_lifting(module);
    bind_transform_operations(module);
}
