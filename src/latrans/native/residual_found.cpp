#include "residual_found.h"

#include <algorithm>
#include <stdexcept>

#include "residual_classes.h"
#include "residual_stretch.h"

namespace latrans {

namespace {

constexpr int kMaxLowBits = (kMaxScale - kScales + kStepsPerOctave) / kStepsPerOctave;

void require(bool holds, const char *what) {
    if (!holds) throw std::invalid_argument(what);
}

void check(const Schedule &s) {
    constexpr int64_t kMost = int64_t{1} << 40;
    require(s.rows >= 1 && s.columns >= 1 && s.columns <= kMost / s.rows, "impossible shape");
    const int64_t size = s.rows * s.columns;
    require(s.n_samples >= 1 && s.n_samples <= size && (!s.plane || s.n_samples == size),
            "number of samples does not fit the shape");
}

// Adds one sample; returns whether it has raw bits.
bool put(Sink &sink, uint8_t table, int low_bits, int32_t offset) {
    require(table < kTables && low_bits <= kMaxLowBits, "there is no such class");
    const Token found = tokenise(offset, low_bits);
    sink.tokens[sink.n] = static_cast<uint8_t>(found.token);
    sink.tables[sink.n++] = table;
    if (!found.n_raw) return false;
    sink.lengths[sink.n_lengths] = static_cast<uint8_t>(found.n_raw);
    sink.low[sink.n_lengths++] = static_cast<uint16_t>(found.raw);
    if (found.n_raw > 16) sink.high[sink.n_high++] = static_cast<uint16_t>(found.raw >> 16);
    return true;
}

}  // namespace

std::shared_ptr<Classes> found_classes(const Schedule &schedule, const uint8_t *tables,
                                       const uint8_t *low_bits, const int32_t *offsets) {
    check(schedule);
    auto classes = std::make_shared<Classes>(schedule);
    for (int64_t top = 0; top < schedule.rows; top += kLanes) {
        const Extent e{schedule.plane, static_cast<int>(schedule.lanes(top)), schedule.columns,
                       schedule.n_samples - top * schedule.columns};
        const int64_t begin = first_step(e), end = larger(begin, end_step(e));
        Sink &sink = classes->room(static_cast<size_t>(e.n_lanes * e.columns),
                                   static_cast<size_t>(end - begin));
        for (int64_t step = begin; step < end;) {
            const Stretch stretch = stretch_at(e, step);
            for (; step < stretch.end; ++step) {
                unsigned which = 0;
                for (int lane = stretch.first; lane < stretch.last; ++lane) {
                    const int64_t column = step - schedule.lag() * lane;
                    const auto at = static_cast<size_t>((top + lane) * e.columns + column);
                    if (put(sink, tables[at], low_bits[at], offsets[at])) which |= 1u << lane;
                }
                sink.raw[sink.n_steps++] = static_cast<uint16_t>(which);
            }
        }
    }
    classes->finish();
    return classes;
}

std::shared_ptr<Coded> found_plane(const Schedule &schedule, Given samples, int32_t lo,
                                   int32_t hi) {
    check(schedule);
    require(lo <= hi, "range of the samples is empty");
    auto coded = std::make_shared<Coded>();
    coded->rows = schedule.rows;
    coded->columns = schedule.columns;
    coded->n_samples = schedule.n_samples;
    coded->lo = lo;
    coded->hi = hi;
    coded->narrow = int64_t{hi} - lo < 1 << 16;
    coded->described = false;
    const auto n = schedule.n_samples;
    coded->samples = Cells<int32_t>(static_cast<size_t>(schedule.rows * schedule.columns));
    int32_t *to = coded->samples.data();
    samples.copy(0, n, to);
    std::fill(to + n, to + coded->samples.size(), lo);
    const auto [least, most] = std::minmax_element(to, to + n);
    require(*least >= lo && *most <= hi, "a sample lies outside of the range");
    return coded;
}

}  // namespace latrans
