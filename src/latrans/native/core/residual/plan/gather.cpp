#include "residual/plan/gather.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace latrans {

namespace {

// Farthest that taps look, in any direction.
struct Reach {
    int64_t up = 0, down = 0, left = 0, right = 0;

    void add(Offset at) {
        up = std::max<int64_t>(up, -at.dy);
        down = std::max<int64_t>(down, at.dy);
        left = std::max<int64_t>(left, -at.dx);
        right = std::max<int64_t>(right, at.dx);
    }
};

int64_t within(int64_t i, int64_t n) { return std::min(std::max<int64_t>(i, 0), n - 1); }

// Rows with their margins, parted so that every step-th value follows the one before.
class Lines {
public:
    Lines(const FitKernel &kernel, const Picture &picture, const Reach &reach, int64_t step)
        : kernel_(kernel),
          picture_(picture),
          reach_(reach),
          step_(static_cast<size_t>(step)),
          length_(static_cast<size_t>(reach.left + picture.schedule->columns + reach.right)),
          stride_((length_ + step_ - 1) / step_ + 32),
          held_(static_cast<size_t>(reach.up + reach.down + 1), -1),
          lines_(held_.size()) {
        for (auto &line : lines_) line.resize(step_ * stride_ + 32);
        if (step > 1) whole_.resize(length_);
    }

    // A neighbour of the sample at a row and column, followed by those of the next samples.
    const int32_t *at(int64_t row, int64_t column, Offset offset) {
        const Schedule &s = *picture_.schedule;
        if (s.plane) {
            // In the first row every neighbour above stands for the left one.
            if (!picture_.finished && row == 0 && offset.dy < 0) offset = {0, -1};
            row = within(row + offset.dy, s.rows);
        }
        const auto place = static_cast<size_t>(column + offset.dx + reach_.left);
        return line(row) + place % step_ * stride_ + place / step_;
    }

private:
    const int32_t *line(int64_t row) {
        const size_t slot = static_cast<size_t>(row) % held_.size();
        std::vector<int32_t> &line = lines_[slot];
        if (held_[slot] != row) {
            held_[slot] = row;
            if (step_ == 1) {
                fill(row, line.data());
            } else {
                fill(row, whole_.data());
                kernel_.split(whole_.data(), length_, step_, line.data(), stride_);
            }
        }
        return line.data();
    }

    void fill(int64_t row, int32_t *out) const {
        const Schedule &s = *picture_.schedule;
        const SamplesView &values = picture_.values;
        const int64_t own = row * s.columns;
        const auto at = [&](int64_t i) { return static_cast<int32_t>(values.at(i)); };
        if (picture_.finished && !s.plane) {  // one line
            const int64_t start = row * s.columns - reach_.left;
            const auto n = static_cast<int64_t>(length_);
            const int64_t first = std::max<int64_t>(0, -start);
            const int64_t end = std::min(n, s.n_samples - start);
            std::fill_n(out, std::min(first, n), at(0));
            values.copy(start + first, end - first, out + first);
            std::fill_n(out + end, n - end, at(s.n_samples - 1));
            return;
        }
        int32_t left = at(own);
        if (!picture_.finished && s.plane) left = row ? at(own - s.columns) : 0;
        std::fill_n(out, reach_.left, left);
        values.copy(own, s.columns, out + reach_.left);
        std::fill_n(out + reach_.left + s.columns, reach_.right,
                    at(own + s.columns - 1));
    }

    const FitKernel &kernel_;
    const Picture picture_;
    const Reach reach_;
    const size_t step_, length_, stride_;
    std::vector<int64_t> held_;
    std::vector<std::vector<int32_t>> lines_;
    std::vector<int32_t> whole_;
};

int32_t difference(int32_t value, int32_t level) {
    const int64_t exact = int64_t{value} - level;
    return static_cast<int32_t>(
        std::min<int64_t>(std::max<int64_t>(exact, -INT32_MAX), INT32_MAX));
}

}  // namespace

int32_t Picture::at(int64_t row, int64_t column, Offset offset) const {
    const Schedule &s = *schedule;
    const auto value = [&](int64_t i) { return static_cast<int32_t>(values.at(i)); };
    if (finished) {
        column += offset.dx;
        if (!s.plane) return value(within(row * s.columns + column, s.n_samples));
        return value(within(row + offset.dy, s.rows) * s.columns + within(column, s.columns));
    }
    column += row == 0 && offset.dy < 0 ? -1 : offset.dx;
    if (!s.plane) return value(row * s.columns + std::max<int64_t>(column, 0));
    row = std::max<int64_t>(row + offset.dy, 0);
    if (column < 0) return row ? value((row - 1) * s.columns) : 0;
    return value(row * s.columns + std::min(column, s.columns - 1));
}

int32_t Picture::level(int64_t row, int64_t column, const Offset (&base)[2]) const {
    return static_cast<int32_t>(
        (int64_t{at(row, column, base[0])} + at(row, column, base[1]) + 1) >> 1);
}

TapGroup gather(const FitKernel &kernel, const Offset (&base)[2], const Subsample &look,
                const std::vector<TapSource> &sources, bool target) {
    const Picture &first = sources[0].picture;
    const Schedule &s = *first.schedule;
    TapGroup group;
    std::vector<Lines> lines;
    for (const TapSource &source : sources) {
        Reach reach;
        for (Offset at : base) reach.add(at);
        for (Offset at : *source.taps) reach.add(at);
        lines.emplace_back(kernel, source.picture, reach, look.step);
        group.n_taps += source.taps->size();
    }
    const size_t n = look.size();
    group.columns = Columns(group.n_taps + target, n);
    std::vector<int32_t> levels(static_cast<size_t>(s.columns / look.step) + 32);
    for (int64_t p = look.begin; p < look.end;) {
        const int64_t row = p / s.columns, column = p - row * s.columns;
        const int64_t end = std::min(look.end, (row + 1) * s.columns);
        const int64_t here = (end - p + look.step - 1) / look.step;
        const auto m = static_cast<size_t>(here);
        const auto done = static_cast<size_t>((p - look.begin) / look.step);
        kernel.level(lines[0].at(row, column, base[0]), lines[0].at(row, column, base[1]), m,
                     levels.data());
        size_t i = 0;
        for (size_t source = 0; source < sources.size(); ++source)
            for (Offset at : *sources[source].taps)
                kernel.subtract(lines[source].at(row, column, at), levels.data(), m,
                                group.columns[i++] + done);
        if (target)
            kernel.subtract(lines[0].at(row, column, {0, 0}), levels.data(), m,
                            group.columns[i] + done);
        p += here * look.step;
    }
    group.columns.clear_rest();
    const size_t padded = group.columns.padded();
    group.largest.resize(padded);
    for (size_t i = 0; i < group.columns.size(); ++i)
        group.magnitudes += kernel.survey(group.columns[i], padded, group.largest.data());
    for (int16_t size : group.largest) group.greatest = std::max(group.greatest, size);
    if (group.greatest == INT16_MAX)
        for (size_t k = 0; k < n; ++k) {
            if (group.largest[k] != INT16_MAX) continue;
            group.far.push_back(static_cast<uint32_t>(k));
            const int64_t p = look.begin + static_cast<int64_t>(k) * look.step;
            const int64_t row = p / s.columns, column = p % s.columns;
            const int32_t level = first.level(row, column, base);
            for (const TapSource &source : sources)
                for (Offset at : *source.taps)
                    group.exact.push_back(difference(source.picture.at(row, column, at), level));
            const auto own = static_cast<int32_t>(first.values.at(p));
            if (target) group.exact.push_back(difference(own, level));
            for (size_t column = 0; column < group.columns.size(); ++column)
                group.magnitudes +=
                    std::abs(int64_t{group.exact[group.exact.size() - group.columns.size() +
                                                 column]}) -
                    std::abs(group.columns[column][k]);
        }
    std::fill(group.largest.begin() + static_cast<ptrdiff_t>(n), group.largest.end(), INT16_MAX);
    return group;
}

Activity activity_of(const FitKernel &kernel, const TapGroup &own) {
    Activity found;
    found.near.assign(own.columns.padded(), 64);
    for (size_t i = 0; i < 8; ++i)
        kernel.add_activity(own.columns[i], found.near.size(), found.near.data());
    for (size_t f = 0; f < own.far.size(); ++f) {
        int64_t sum = 64;
        for (size_t i = 0; i < 8; ++i)
            sum += 32 * std::abs(int64_t{own.exact[f * own.columns.size() + i]});
        found.far.push_back(sum);
    }
    return found;
}

}  // namespace latrans
