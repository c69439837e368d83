#include "transform/write.h"

#include <algorithm>
#include <cstdlib>

namespace latrans {
namespace {

constexpr ptrdiff_t kOffsets[kSignNeighbours][2] = {{0, -1}, {-1, 0}, {-1, -1},
                                                    {-1, 1}, {0, -2}, {-2, 0}};

int highest(uint32_t v) {
    int e = 0;
    while (v >> (e + 1)) ++e;
    return e;
}

// Values as signs are told by them, with two zeros around.
class Clipped {
public:
    Clipped(const int32_t *values, size_t rows, size_t columns)
        : stride_(static_cast<ptrdiff_t>(columns) + 4), cells_((rows + 2) * (columns + 4), 0) {
        for (size_t y = 0; y < rows; ++y) {
            int8_t *to = at(y, 0);
            for (size_t x = 0; x < columns; ++x)
                to[x] = static_cast<int8_t>(std::max(-3, std::min(values[y * columns + x], 3)));
        }
    }
    int lean(size_t y, size_t x, const int16_t *weights) {
        const int8_t *cell = at(y, x);
        int sum = 0;
        for (int k = 0; k < kSignNeighbours; ++k)
            sum += weights[k] * cell[kOffsets[k][0] * stride_ + kOffsets[k][1]];
        return sum;
    }

private:
    int8_t *at(size_t y, size_t x) {
        return &cells_[(y + 2) * static_cast<size_t>(stride_) + x + 2];
    }
    ptrdiff_t stride_;
    std::vector<int8_t> cells_;
};

}  // namespace

void TransformWriter::push_band(const TransformModel &model, const TransformSigns &signs,
                                const int32_t *values, const uint8_t *classes, size_t rows,
                                size_t columns) {
    if (!rows || !columns) return;
    Clipped clipped(values, rows, columns);
    struct Told {
        size_t row, column;
        int32_t value;
        uint32_t magnitude, token;
        const Interval *intervals;
        size_t which;
    };
    Told told[kTransformLanes];
    const auto n_raw = [](const Told &t) {
        return t.token >= kBandDirect ? static_cast<int>(t.token - kBandDirect) / 2 + 3 : 0;
    };
    for (size_t top = (rows - 1) / kTransformLanes * kTransformLanes;; top -= kTransformLanes) {
        const size_t height = std::min<size_t>(kTransformLanes, rows - top);
        for (size_t t = columns + kTransformLag * (height - 1); t-- > 0;) {
            int n = 0;
            bool large = false, escaped = false;
            const size_t first = t < columns ? 0 : (t - columns) / kTransformLag + 1;
            const size_t last = std::min(height - 1, t / kTransformLag);
            for (size_t lane = first; lane <= last && lane < height; ++lane) {
                Told &to = told[n++];
                to.row = top + lane;
                to.column = t - kTransformLag * lane;
                const size_t at = to.row * columns + to.column;
                to.value = values[at];
                to.magnitude = static_cast<uint32_t>(std::abs(to.value));
                to.token = to.magnitude;
                if (to.magnitude >= kBandDirect) {
                    const int e = highest(to.magnitude);
                    to.token = static_cast<uint32_t>(kBandDirect + 2 * (e - 4)) +
                               (to.magnitude >> (e - 1) & 1);
                    large = true;
                }
                to.intervals = model.tables.intervals(classes[at]);
                to.which = lane % n_states_;
                escaped |= !to.intervals[to.token].frequency;
            }
            if (large)
                for (int i = n; i-- > 0;)
                    if (n_raw(told[i]) > 16) {
                        const int bits = n_raw(told[i]);
                        const uint32_t raw = told[i].magnitude & ((1u << bits) - 1);
                        rans_.push_raw(told[i].which, raw >> 16, bits - 16);
                    }
            for (int i = n; i-- > 0;) {
                const Told &to = told[i];
                if (!to.token) continue;
                if (const int bits = n_raw(to)) {
                    const uint32_t raw = to.magnitude & ((1u << bits) - 1);
                    rans_.push_raw(to.which, raw & 0xFFFF, std::min(bits, 16));
                }
                const int lean = clipped.lean(to.row, to.column, signs.weights);
                const int bucket = std::min(std::abs(lean) >> 2, kSignBuckets - 1);
                const auto size = static_cast<int>(std::min<uint32_t>(to.token, kSignSizes)) - 1;
                const uint32_t frequency = signs.first[bucket * kSignSizes + size];
                const bool second = (to.value < 0) != (lean < 0);
                rans_.push(to.which, second ? frequency : 0,
                           second ? kProbabilities - frequency : frequency, kProbabilityBits);
            }
            if (escaped)
                for (int i = n; i-- > 0;)
                    if (!told[i].intervals[told[i].token].frequency)
                        rans_.push_raw(told[i].which, told[i].token, 8);
            for (int i = n; i-- > 0;) {
                const Told &to = told[i];
                Interval interval = to.intervals[to.token];
                if (!interval.frequency) interval = to.intervals[kBandEscape];
                rans_.push(to.which, interval.start, interval.frequency, kProbabilityBits);
            }
        }
        if (!top) break;
    }
}

}  // namespace latrans
