#include "residual/plan/fit.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <numeric>

#include "bits.h"
#include "residual/plan/fit_table.h"

namespace latrans {

namespace {

constexpr int kMaxShift = 14;
constexpr double kRidge = 1e-5;
constexpr int kNarrowDrop = 6;  // up to which 32 bits hold errors

Solution quantise(const std::vector<double> &solution) {
    double largest = 0;
    for (double s : solution) largest = std::max(largest, std::abs(s));
    int bits = 0;
    std::frexp(largest, &bits);
    const int shift = std::max(0, std::min(kMaxShift, 15 - std::max(bits, 0)));
    Solution result{{}, shift};
    result.weights.reserve(solution.size());
    const double unit = 1 << shift;
    for (double s : solution)
        result.weights.push_back(static_cast<int32_t>(
            std::min(std::max(std::nearbyint(s * unit), -32768.0), 32767.0)));
    return result;
}

// Normal equations; errors are of type E.
template <class E>
class System {
public:
    System(const Table &table, const Activity &activity, const std::vector<uint32_t> &far,
           const Noise *noise);

    // Rounds of reweighting; false where the system has no solution.
    bool refine(int rounds);
    std::optional<Solution> solution(const std::vector<size_t> &choice) const;

private:
    size_t width() const { return table_.columns.size(); }
    Rows<E> rows() {
        return {table_.columns[table_.n_taps()], table_.live.data(), scale_.data(), error_.data()};
    }
    void predict(const Predict &fast, const Solution &solution, size_t begin,
                 int32_t *predicted) const;
    void sum_products();
    void sum_apart();
    void add_noise();
    std::optional<std::vector<double>> solve(const std::vector<size_t> &columns) const;

    const Table &table_;
    const Noise *noise_;
    std::vector<E> scale_, error_;
    int64_t sum_ = 0;
    E least_ = 0;
    std::vector<int16_t> multipliers_;
    std::vector<uint16_t> apart_;
    Aligned<int16_t> scaled_;
    Aligned<int32_t> tiles_;
    int64_t weight_sum_ = 0;
    std::vector<int64_t> moments_;
};

size_t n_tile_sums(const FitKernel &kernel, size_t width) {
    const size_t n = width / kernel.tile;
    return n * (n + 1) / 2 * kernel.tile * kernel.tile * kernel.lanes;
}

template <class E>
System<E>::System(const Table &table, const Activity &activity, const std::vector<uint32_t> &far,
                  const Noise *noise)
    : table_(table),
      noise_(noise),
      scale_(activity.near.begin(), activity.near.end()),
      multipliers_(table.padded),
      apart_(table.padded),
      scaled_(table.columns.size() * kProductRows),
      tiles_(n_tile_sums(table.kernel, table.columns.size())),
      moments_(table.columns.size() * table.columns.size()) {
    for (size_t f = 0; f < far.size(); ++f) scale_[far[f]] = static_cast<E>(activity.far[f]);
    error_ = scale_;
    least_ = std::numeric_limits<E>::max();
    for (size_t k = 0; k < table.n; ++k)
        if (table.live[k]) {
            sum_ += error_[k];
            least_ = std::min(least_, error_[k]);
        }
}

template <class E>
void System<E>::sum_products() {
    const int64_t floor = std::max<int64_t>(1, sum_ / static_cast<int64_t>(table_.n_live) / 8);
    const int64_t added = floor + 8;
    const int octave = bit_length(static_cast<uint64_t>(least_ + added)) - 1;
    RowWeights weights{multipliers_.data(), apart_.data(), 0, 0};
    if constexpr (sizeof(E) == 4)
        table_.kernel.weigh(rows(), table_.largest.data(), table_.padded,
                            static_cast<int32_t>(added), octave, weights);
    else
        table_.kernel.weigh_wide(rows(), table_.largest.data(), table_.padded, added, octave,
                                 weights);
    weight_sum_ = weights.sum;
    std::fill(moments_.begin(), moments_.end(), 0);
    table_.kernel.products(table_.columns.data(), width(), multipliers_.data(), table_.padded,
                           weights.largest, int64_t{1} << kMainOctave,
                           {scaled_.data(), tiles_.data()}, moments_.data());
    sum_apart();
    if (noise_) add_noise();
}

// Rows of little weight, and large ones, in groups of like weight.
template <class E>
void System<E>::sum_apart() {
    std::vector<uint32_t> groups[kOctaves + 1];
    const auto fits = [&](size_t k) {
        const int32_t size = table_.largest[k], weight = apart_[k];
        return size * weight <= INT16_MAX && size * size * weight < kProductLimit;
    };
    for (size_t k = 0; k < table_.n; ++k)
        if (apart_[k]) {
            const int octave = bit_length(apart_[k]) - 1;
            const bool together = octave < kMainOctave && fits(k);
            groups[together ? 0 : octave].push_back(static_cast<uint32_t>(k));
        }
    for (int octave = 0; octave <= kOctaves; ++octave) {
        const auto &group = groups[octave];
        if (group.empty()) continue;
        Columns some(width(), group.size());
        std::vector<const int16_t *> columns;
        for (size_t i = 0; i < width(); ++i) {
            const int16_t *from = table_.columns[i];
            int16_t *to = some[i];
            for (size_t k = 0; k < group.size(); ++k) to[k] = from[group[k]];
            columns.push_back(to);
        }
        std::vector<int16_t> multipliers(some.padded());
        int32_t largest = 0;
        for (size_t k = 0; k < group.size(); ++k) {
            multipliers[k] = static_cast<int16_t>(apart_[group[k]] >> octave);
            const int32_t size = table_.largest[group[k]];
            largest = std::max(largest, size * size * multipliers[k]);
        }
        table_.kernel.products(columns.data(), width(), multipliers.data(), some.padded(), largest,
                               int64_t{1} << octave, {scaled_.data(), tiles_.data()},
                               moments_.data());
    }
}

template <class E>
void System<E>::add_noise() {
    const int64_t variance = weight_sum_ * noise_->power / noise_->parts;
    const auto &starts = table_.starts;
    for (size_t g = 0; g + 1 < starts.size(); ++g) {
        const std::vector<int64_t> &form = g ? noise_->others : noise_->own;
        std::vector<size_t> columns;
        for (size_t i = starts[g]; i < starts[g + 1]; ++i) columns.push_back(i);
        if (!g) columns.push_back(table_.n_taps());
        const int64_t here = variance >> std::min(2 * table_.drops[g], 63);
        for (size_t i = 0; i < columns.size(); ++i)
            for (size_t j = i; j < columns.size(); ++j)
                moments_[columns[i] * width() + columns[j]] += form[i * columns.size() + j] * here;
    }
}

// Elimination element by element, the same way as the reference's; the upper triangle is enough.
template <class E>
std::optional<std::vector<double>> System<E>::solve(const std::vector<size_t> &columns) const {
    const size_t n = columns.size(), stride = n / 8 * 8 + 8;
    std::vector<double> work(n * stride);
    for (size_t i = 0; i < n; ++i)
        for (size_t j = i; j <= n; ++j) {
            const size_t a = columns[i], b = j < n ? columns[j] : table_.n_taps();
            const int64_t sum = moments_[std::min(a, b) * width() + std::max(a, b)];
            work[i * stride + j] = static_cast<double>(sum);
        }
    for (size_t i = 0; i < n; ++i) {
        double &pivot = work[i * stride + i];
        pivot += pivot * kRidge + 1.0;
    }
    if (!table_.kernel.eliminate(work.data(), n, stride)) return std::nullopt;
    std::vector<double> solution(n);
    for (size_t k = n; k-- > 0;) {
        solution[k] = work[k * stride + n] / work[k * stride + k];
        for (size_t i = 0; i < k; ++i) work[i * stride + n] -= work[i * stride + k] * solution[k];
    }
    return solution;
}

// Of one block; what exceeds 32 bits is far beyond any error that counts.
template <class E>
void System<E>::predict(const Predict &fast, const Solution &solution, size_t begin,
                        int32_t *predicted) const {
    const bool far = fast.limit(false) < kColumnLimit;
    if (fast.limit(far) >= kColumnLimit) {
        fast(table_.columns.data(), table_.n_taps(), far, begin, predicted);
        return;
    }
    constexpr int64_t limit = 1 << 29;
    const int shift = solution.shift;
    for (size_t k = 0; k < kFitRows; ++k) {
        int64_t sum = 0;
        for (size_t i = 0; i < table_.n_taps(); ++i)
            sum += int64_t{solution.weights[i]} * table_.columns[i][begin + k];
        sum = shift >= 8 ? sum >> (shift - 8) : sum * (1 << (8 - shift));
        predicted[k] = static_cast<int32_t>(std::min(std::max(sum, -limit), limit));
    }
}

template <class E>
bool System<E>::refine(int rounds) {
    std::vector<size_t> all(table_.n_taps());
    std::iota(all.begin(), all.end(), 0);
    for (int round = 1; round < rounds; ++round) {
        sum_products();
        const auto found = solve(all);
        if (!found) return false;
        const Solution solution = quantise(*found);
        const Predict fast(table_.kernel, solution);
        sum_ = 0;
        least_ = std::numeric_limits<E>::max();
        for (size_t begin = 0; begin < table_.padded; begin += kFitRows) {
            int32_t predicted[kFitRows];
            predict(fast, solution, begin, predicted);
            if constexpr (sizeof(E) == 4)
                table_.kernel.refresh(rows(), predicted, table_.drops[0], begin, sum_, least_);
            else
                table_.kernel.refresh_wide(rows(), predicted, table_.drops[0], begin, sum_,
                                           least_);
        }
    }
    sum_products();
    return true;
}

template <class E>
std::optional<Solution> System<E>::solution(const std::vector<size_t> &choice) const {
    std::vector<size_t> columns;
    std::vector<int> gains;
    const auto add = [&](size_t group) {
        for (size_t i = table_.starts[group]; i < table_.starts[group + 1]; ++i) {
            columns.push_back(i);
            gains.push_back(table_.drops[0] - table_.drops[group]);
        }
    };
    add(0);
    for (size_t group : choice) add(group);
    auto found = solve(columns);
    if (!found) return std::nullopt;
    for (size_t i = 0; i < gains.size(); ++i) (*found)[i] = std::ldexp((*found)[i], gains[i]);
    return quantise(*found);
}

template <class E>
std::vector<std::optional<Solution>> fit_as(const Table &table, const Activity &activity,
                                            const std::vector<uint32_t> &far,
                                            const std::vector<std::vector<size_t>> &choices,
                                            int rounds, const Noise *noise) {
    std::vector<std::optional<Solution>> found(choices.size());
    System<E> system(table, activity, far, noise);
    if (!system.refine(rounds)) return found;
    for (size_t i = 0; i < choices.size(); ++i) found[i] = system.solution(choices[i]);
    return found;
}

}  // namespace

std::vector<std::optional<Solution>> fit(const FitKernel &kernel,
                                         const std::vector<const TapGroup *> &groups,
                                         const Activity &activity,
                                         const std::vector<std::vector<size_t>> &choices,
                                         int rounds, const Noise *noise) {
    const Table table(kernel, groups);
    if (table.n_live < 2 * table.n_taps())
        return std::vector<std::optional<Solution>>(choices.size());
    const auto &far = groups[0]->far;
    const bool narrow = far.empty() && table.drops[0] <= kNarrowDrop;
    return narrow ? fit_as<int32_t>(table, activity, far, choices, rounds, noise)
                  : fit_as<int64_t>(table, activity, far, choices, rounds, noise);
}

}  // namespace latrans
