#include "residual_fit.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numeric>

#include "residual_bits.h"
#include "residual_products.h"

namespace latrans {

namespace {

constexpr int kMaxShift = 14, kOctaves = 8;
constexpr int64_t kLargestError = int64_t{1} << 22;
constexpr double kRidge = 1e-5;

// Bits to drop so that typical values keep about eight.
int drop_of(int64_t sum, size_t n) {
    return std::max(0, bit_length(16 * static_cast<uint64_t>(sum / static_cast<int64_t>(n))) - 12);
}

Solution quantise(const std::vector<double> &solution) {
    double largest = 0;
    for (double s : solution) largest = std::max(largest, std::abs(s));
    int bits = 0;
    std::frexp(largest, &bits);
    const int shift = std::max(0, std::min(kMaxShift, 15 - std::max(bits, 0)));
    Solution result{{}, shift};
    const double unit = 1 << shift;
    for (double s : solution)
        result.weights.push_back(static_cast<int32_t>(
            std::min(std::max(std::nearbyint(s * unit), -32768.0), 32767.0)));
    return result;
}

// The system's columns, the right side last, scaled and without rows that are too large.
class System {
public:
    System(const std::vector<const TapGroup *> &groups, const std::vector<int32_t> &target,
           const std::vector<int64_t> &activity, const Noise *noise);

    bool solvable() const { return scale_.size() >= 2 * n_taps(); }
    // Rounds of reweighting; false where the system has no solution.
    bool refine(int rounds);
    std::optional<Solution> solution(const std::vector<size_t> &choice) const;

private:
    size_t n_taps() const { return columns_.n_used - 1; }
    void remove(const std::vector<uint8_t> &large);
    void sort_rows();
    void sum_products();
    void add_noise();
    std::optional<std::vector<double>> solve(const std::vector<size_t> &columns) const;

    const Noise *noise_;
    std::vector<int> drops_;
    std::vector<size_t> starts_;
    std::vector<int64_t> scale_, error_;
    std::vector<size_t> octave_ends_;
    std::vector<uint32_t> order_;
    std::vector<int16_t> largest_;  // magnitude of each row
    Columns columns_{0, 0}, sorted_{0, 0};
    std::vector<int64_t> moments_;
};

System::System(const std::vector<const TapGroup *> &groups, const std::vector<int32_t> &target,
               const std::vector<int64_t> &activity, const Noise *noise)
    : noise_(noise) {
    const size_t n = target.size();
    starts_.push_back(0);
    for (const TapGroup *group : groups) {
        const bool first = group == groups[0];
        const int64_t sum = magnitudes(group->values.data(), group->values.size()) +
                            (first ? magnitudes(target.data(), n) : 0);
        drops_.push_back(drop_of(sum, (group->n_taps + first) * n));
        starts_.push_back(starts_.back() + group->n_taps);
    }
    columns_ = Columns(starts_.back() + 1, n);
    std::vector<uint8_t> large(n);
    for (size_t g = 0; g < groups.size(); ++g)
        for (size_t i = 0; i < groups[g]->n_taps; ++i)
            shrink(&groups[g]->values[i * n], n, drops_[g], columns_[starts_[g] + i],
                   g ? nullptr : large.data());
    shrink(target.data(), n, drops_[0], columns_[n_taps()], large.data());
    scale_ = activity;
    if (std::count(large.begin(), large.end(), 0) != static_cast<ptrdiff_t>(n)) remove(large);
    error_ = scale_;
    sorted_ = columns_;
    largest_.resize(scale_.size());
    for (size_t i = 0; i < columns_.n_used; ++i) raise(columns_[i], scale_.size(), largest_.data());
    moments_.resize(columns_.n_all * columns_.n_all);
}

void System::remove(const std::vector<uint8_t> &large) {
    std::vector<size_t> kept;
    for (size_t k = 0; k < large.size(); ++k)
        if (!large[k]) kept.push_back(k);
    Columns columns(columns_.n_used, kept.size());
    for (size_t i = 0; i < columns.n_used; ++i)
        for (size_t k = 0; k < kept.size(); ++k) columns[i][k] = columns_[i][kept[k]];
    for (size_t k = 0; k < kept.size(); ++k) scale_[k] = scale_[kept[k]];
    scale_.resize(kept.size());
    columns_ = std::move(columns);
}

// Rows by weight, which is a power of two near 1 / error, eight octaves of them.
void System::sort_rows() {
    const size_t n = error_.size();
    const int64_t sum = std::accumulate(error_.begin(), error_.end(), int64_t{0});
    const int64_t floor = std::max<int64_t>(1, sum / static_cast<int64_t>(n) / 8);
    std::vector<uint8_t> octaves(n);
    int least = 64;
    for (size_t k = 0; k < n; ++k) {
        octaves[k] = static_cast<uint8_t>(bit_length(static_cast<uint64_t>(error_[k] + floor + 8)));
        least = std::min<int>(least, octaves[k]);
    }
    octave_ends_.assign(kOctaves + 1, 0);
    for (uint8_t &octave : octaves) {
        octave = static_cast<uint8_t>(std::min(octave - least, kOctaves));
        ++octave_ends_[octave];
    }
    std::partial_sum(octave_ends_.begin(), octave_ends_.end(), octave_ends_.begin());
    std::vector<size_t> next(1, 0);
    next.insert(next.end(), octave_ends_.begin(), octave_ends_.end() - 1);
    order_.resize(n);
    for (size_t k = 0; k < n; ++k) order_[next[octaves[k]]++] = static_cast<uint32_t>(k);
    reorder(columns_, order_.data(), sorted_);
}

void System::sum_products() {
    sort_rows();
    std::fill(moments_.begin(), moments_.end(), 0);
    const auto bound = [&](size_t k) { return int64_t{largest_[order_[k]]} * largest_[order_[k]]; };
    size_t begin = 0;
    for (int octave = 0; octave <= kOctaves; ++octave)
        while (begin < octave_ends_[static_cast<size_t>(octave)]) {
            // No sum of products exceeds that of the rows' largest values squared.
            size_t end = begin;
            int64_t sum = 0;
            while (end < octave_ends_[static_cast<size_t>(octave)] &&
                   (sum += bound(end)) <= INT32_MAX)
                ++end;
            add_products(sorted_, begin, end, int64_t{1} << (kOctaves - octave), moments_.data());
            begin = end;
        }
    if (noise_) add_noise();
}

void System::add_noise() {
    int64_t weights = 0;
    size_t before = 0;
    for (int octave = 0; octave <= kOctaves; ++octave) {
        const size_t end = octave_ends_[static_cast<size_t>(octave)];
        weights += static_cast<int64_t>(end - before) << (kOctaves - octave);
        before = end;
    }
    const int64_t variance = weights * noise_->power / noise_->parts;
    for (size_t g = 0; g + 1 < starts_.size(); ++g) {
        const std::vector<int64_t> &form = g ? noise_->others : noise_->own;
        std::vector<size_t> columns;
        for (size_t i = starts_[g]; i < starts_[g + 1]; ++i) columns.push_back(i);
        if (!g) columns.push_back(n_taps());
        const int64_t here = variance >> std::min(2 * drops_[g], 63);
        for (size_t i = 0; i < columns.size(); ++i)
            for (size_t j = i; j < columns.size(); ++j)
                moments_[columns[i] * columns_.n_all + columns[j]] +=
                    form[i * columns.size() + j] * here;
    }
}

// Elimination element by element, the same way as the reference's; the upper triangle is enough.
std::optional<std::vector<double>> System::solve(const std::vector<size_t> &columns) const {
    const size_t n = columns.size(), width = n + 1;
    std::vector<double> work(n * width);
    for (size_t i = 0; i < n; ++i)
        for (size_t j = i; j < width; ++j) {
            const size_t a = columns[i], b = j < n ? columns[j] : n_taps();
            const int64_t sum = moments_[std::min(a, b) * columns_.n_all + std::max(a, b)];
            work[i * width + j] = static_cast<double>(sum);
        }
    for (size_t i = 0; i < n; ++i) {
        double &pivot = work[i * width + i];
        pivot += pivot * kRidge + 1.0;
    }
    for (size_t k = 0; k < n; ++k) {
        const double *row = &work[k * width];
        if (row[k] <= 0) return std::nullopt;
        for (size_t i = k + 1; i < n; ++i) {
            const double factor = row[i] / row[k];
            double *below = &work[i * width];
            for (size_t j = i; j < width; ++j) below[j] -= factor * row[j];
        }
    }
    std::vector<double> solution(n);
    for (size_t k = n; k-- > 0;) {
        solution[k] = work[k * width + n] / work[k * width + k];
        for (size_t i = 0; i < k; ++i) work[i * width + n] -= work[i * width + k] * solution[k];
    }
    return solution;
}

bool System::refine(int rounds) {
    std::vector<size_t> all(n_taps());
    std::iota(all.begin(), all.end(), 0);
    std::vector<int64_t> sums(error_.size());
    for (int round = 1; round < rounds; ++round) {
        sum_products();
        const auto found = solve(all);
        if (!found) return false;
        const Solution solution = quantise(*found);
        weigh(columns_, solution.weights.data(), n_taps(), sums.data());
        const int16_t *target = columns_[n_taps()];
        for (size_t k = 0; k < sums.size(); ++k) {
            const int64_t predicted = solution.shift >= 8 ? sums[k] >> (solution.shift - 8)
                                                          : sums[k] * (1 << (8 - solution.shift));
            const int64_t error = std::abs(target[k] * 256 - predicted);
            error_[k] = (std::min(error, kLargestError) << drops_[0]) + (scale_[k] >> 3);
        }
    }
    sum_products();
    return true;
}

std::optional<Solution> System::solution(const std::vector<size_t> &choice) const {
    std::vector<size_t> columns;
    std::vector<int> gains;
    const auto add = [&](size_t group) {
        for (size_t i = starts_[group]; i < starts_[group + 1]; ++i) {
            columns.push_back(i);
            gains.push_back(drops_[0] - drops_[group]);
        }
    };
    add(0);
    for (size_t group : choice) add(group);
    auto found = solve(columns);
    if (!found) return std::nullopt;
    for (size_t i = 0; i < gains.size(); ++i) (*found)[i] = std::ldexp((*found)[i], gains[i]);
    return quantise(*found);
}

}  // namespace

std::vector<std::optional<Solution>> fit(const std::vector<const TapGroup *> &groups,
                                         const std::vector<int32_t> &target,
                                         const std::vector<int64_t> &activity,
                                         const std::vector<std::vector<size_t>> &choices,
                                         int rounds, const Noise *noise) {
    std::vector<std::optional<Solution>> found(choices.size());
    System system(groups, target, activity, noise);
    if (!system.solvable() || !system.refine(rounds)) return found;
    for (size_t i = 0; i < choices.size(); ++i) found[i] = system.solution(choices[i]);
    return found;
}

}  // namespace latrans
