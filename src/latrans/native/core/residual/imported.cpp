#include "residual/imported.h"

#include <algorithm>

#include "require.h"
#include "residual/classes.h"
#include "residual/kernel/stretch.h"

namespace latrans {

namespace {

constexpr int kMaxLowBits = (kMaxScale - kScales + kStepsPerOctave) / kStepsPerOctave;

void check(const Schedule &s) {
    constexpr int64_t kMost = int64_t{1} << 40;
    require(s.rows >= 1 && s.columns >= 1 && s.columns <= kMost / s.rows, "impossible shape");
    const int64_t size = s.rows * s.columns;
    require(s.n_samples >= 1 && s.n_samples <= size && (!s.plane || s.n_samples == size),
            "number of samples does not fit the shape");
}

bool all_below(const uint8_t *values, int64_t n, uint8_t limit) {
    uint8_t most = 0;
    for (int64_t i = 0; i < n; ++i) most = std::max(most, values[i]);
    return most < limit;
}

}  // namespace

std::shared_ptr<Classes> imported_classes(const Model &model, const Schedule &schedule,
                                       const ImportedRows &rows) {
    check(schedule);
    const int64_t size = schedule.rows * schedule.columns;
    require(all_below(rows.tables, size, kTables) &&
                all_below(rows.low_bits, size, kMaxLowBits + 1),
            "there is no such class");
    auto classes = std::make_shared<Classes>(schedule);
    for (int64_t top = 0; top < schedule.rows; top += kLanes) {
        const int64_t first = top * schedule.columns;
        const Extent e{schedule.plane, static_cast<int>(schedule.lanes(top)), schedule.columns,
                       schedule.n_samples - first};
        const int64_t n_steps = larger(0, end_step(e) - first_step(e));
        model.kernel().take(
            e, {rows.tables + first, rows.low_bits + first, rows.offsets + first},
            classes->room(static_cast<size_t>(e.n_lanes * e.columns),
                          static_cast<size_t>(n_steps)));
    }
    classes->finish();
    return classes;
}

std::shared_ptr<Coded> imported_plane(const Schedule &schedule, SamplesView samples, int32_t lo,
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
