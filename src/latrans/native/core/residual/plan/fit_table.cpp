#include "residual/plan/fit_table.h"

#include <algorithm>

#include "bits.h"

namespace latrans {

namespace {

// Bits to drop so that typical values keep about eight.
int drop_of(int64_t sum, size_t n) {
    return std::max(0, bit_length(16 * static_cast<uint64_t>(sum / static_cast<int64_t>(n))) - 12);
}

}  // namespace

Table::Table(const FitKernel &k, const std::vector<const TapGroup *> &groups)
    : kernel(k), n(groups[0]->columns.n), padded(groups[0]->columns.padded()) {
    live.assign(padded, 0);
    std::fill_n(live.begin(), n, int16_t{-1});
    starts.push_back(0);
    stores_.resize(groups.size());
    bool plain = true;
    const int16_t *target = nullptr;
    for (size_t g = 0; g < groups.size(); ++g) {
        const TapGroup &group = *groups[g];
        drops.push_back(drop_of(group.magnitudes, group.columns.size() * n));
        const bool exceeds = drops[g] || group.greatest > kColumnLimit;
        if (exceeds) scale(group, g, stores_[g]);
        const Columns &found = drops[g] || (g && exceeds) ? stores_[g] : group.columns;
        plain = plain && &found == &group.columns;
        for (size_t i = 0; i < group.n_taps; ++i) columns.push_back(found[i]);
        if (!g) target = found[group.n_taps];
        starts.push_back(columns.size());
    }
    columns.push_back(target);
    if (plain) {
        largest = groups[0]->largest;
        for (size_t g = 1; g < groups.size(); ++g)
            for (size_t i = 0; i < padded; ++i)
                largest[i] = std::max(largest[i], groups[g]->largest[i]);
    } else {
        largest.resize(padded);
        for (const int16_t *column : columns) kernel.survey(column, padded, largest.data());
    }
    zeros_.resize(padded);
    while (columns.size() % kernel.tile) columns.push_back(zeros_.data());
    int32_t n_dead = 0;
    for (size_t i = 0; i < n; ++i) n_dead += live[i] + 1;
    n_live = n - static_cast<size_t>(n_dead);
}

void Table::scale(const TapGroup &group, size_t index, Columns &out) {
    const int drop = drops[index];
    const size_t n_columns = group.columns.size();
    const int largest = kColumnLimit << std::min(drop, 16);
    for (size_t k = 0; !index && k < n; ++k)
        for (size_t i = 0; group.largest[k] > largest && i < n_columns; ++i) {
            const int value = group.columns[i][k] >> drop;
            if (value > kColumnLimit || value < -kColumnLimit) live[k] = 0;
        }
    if (!drop && !index) return;  // rows that do not count may be large
    out = Columns(n_columns, n);
    for (size_t i = 0; i < n_columns; ++i)
        kernel.shrink(group.columns[i], padded, drop, kColumnLimit, out[i]);
    for (size_t f = 0; f < group.far.size(); ++f)
        for (size_t i = 0; i < n_columns; ++i) {
            const int32_t value = group.exact[f * n_columns + i] >> drop;
            const int32_t within = std::min(std::max(value, -kColumnLimit), kColumnLimit);
            out[i][group.far[f]] = static_cast<int16_t>(within);
            if (!index && value != within) live[group.far[f]] = 0;
        }
}

}  // namespace latrans
