// Columns of the planner's fits, and the noise that hides errors.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "residual/plan/fit.h"

namespace latrans {

namespace {

int64_t root(int64_t square) {
    auto guess = static_cast<int64_t>(std::sqrt(static_cast<double>(square)));
    while (guess * guess > square) --guess;
    while ((guess + 1) * (guess + 1) <= square) ++guess;
    return guess;
}

}  // namespace

Columns::Columns(size_t n_columns, size_t n_values) : n(n_values), n_columns_(n_columns) {
    // Vectors may write a little behind the last value.  Columns a power of two apart would share
    // a few lines of the cache.
    stride_ = (n + 16 + kFitRows - 1) / kFitRows | 1;
    stride_ *= kFitRows;
    values_.reset(new int16_t[n_columns * stride_]);
    clear_rest();
}

void Columns::clear_rest() {
    for (size_t i = 0; i < n_columns_; ++i)
        std::fill((*this)[i] + n, (*this)[i] + stride_, int16_t{0});
}

Predict::Predict(const FitKernel &kernel, const Solution &solution)
    : kernel_(kernel), solution_(solution) {
    int64_t total = 1;
    bool fits = true;
    for (int32_t weight : solution.weights) {
        total += std::abs(int64_t{weight});
        fits = fits && weight <= INT16_MAX;
    }
    constexpr int64_t most = int64_t{1} << 30, whole = INT16_MAX - 1;
    const int shift = solution.shift;
    const bool may_part = shift >= 8 && solution.weights.size() <= kFarWeights;
    limit_ = static_cast<int>(std::min((most >> std::max(0, 8 - shift)) / total, whole));
    far_limit_ = limit_;
    if (may_part) far_limit_ = static_cast<int>(std::min((most << (shift - 8)) / total, whole));
    if (!fits) limit_ = far_limit_ = -1;
}

const int32_t *TapGroup::exact_row(size_t row) const {
    const auto found = std::lower_bound(far.begin(), far.end(), row);
    if (found == far.end() || *found != row) return nullptr;
    return &exact[static_cast<size_t>(found - far.begin()) * columns.size()];
}

int64_t Noise::floor(const Solution &solution, size_t n_own, size_t n_others) const {
    const auto &weights = solution.weights;
    const auto form = [](const std::vector<int64_t> &all, const std::vector<int64_t> &by) {
        int64_t sum = 0;
        for (size_t i = 0; i < by.size(); ++i)
            for (size_t j = 0; j < by.size(); ++j) sum += by[i] * by[j] * all[i * by.size() + j];
        return sum;
    };
    std::vector<int64_t> part(n_own + 1);
    std::copy_n(weights.begin(), std::min(n_own, weights.size()), part.begin());
    part[n_own] = -(int64_t{1} << solution.shift);
    int64_t total = form(own, part);
    for (size_t start = n_own; start < weights.size(); start += n_others) {
        part.assign(weights.begin() + static_cast<ptrdiff_t>(start),
                    weights.begin() + static_cast<ptrdiff_t>(start + n_others));
        total += form(others, part);
    }
    // total * power * 2^16 / (parts * 4^shift), where weights of few fraction bits are too large
    // to matter: what exceeds the limit hides everything.
    constexpr int64_t limit = int64_t{1} << 60;
    const int up = 16 - 2 * solution.shift;
    int64_t square = limit;
    if (total <= limit / std::max<int64_t>(power, 1)) {
        const int64_t scaled = total * power;
        if (up <= 0) square = (scaled >> -up) / parts;
        else if (scaled <= limit >> up) square = (scaled << up) / parts;
    }
    return 64 * root(power) + root(std::min(square, limit));
}

}  // namespace latrans
