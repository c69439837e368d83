// Robust least squares in exact arithmetic: the twin of residual/fit.py.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "residual/plan/fit_step.h"

namespace latrans {

// Columns of n values each; behind them zeros up to whole blocks.
class Columns {
public:
    Columns() = default;
    Columns(size_t n_columns, size_t n);

    int16_t *operator[](size_t i) { return values_.get() + i * stride_; }
    const int16_t *operator[](size_t i) const { return values_.get() + i * stride_; }
    size_t size() const { return n_columns_; }
    size_t padded() const { return (n + kFitRows - 1) / kFitRows * kFitRows; }
    void clear_rest();

    size_t n = 0;

private:
    size_t n_columns_ = 0, stride_ = 0;
    std::unique_ptr<int16_t[]> values_;
};

// Differences of one group of taps, and behind those of the plane's own the target.
struct TapGroup {
    size_t n_taps = 0;
    Columns columns;               // 16 bits, saturated
    std::vector<int16_t> largest;  // magnitude in each row; what lies behind the rows exceeds all
    int16_t greatest = 0;          // of all rows
    int64_t magnitudes = 0;        // sum over all columns
    std::vector<uint32_t> far;     // rows with values that 16 bits do not hold
    std::vector<int32_t> exact;    // those rows, all columns

    // A far row, or null.
    const int32_t *exact_row(size_t row) const;
};

struct Solution {
    std::vector<int32_t> weights;
    int shift;
};

// Predictions from weights of 16 bits, chosen by how large the values may be.
class Predict {
public:
    Predict(const FitKernel &kernel, const Solution &solution);

    // Values up to this in magnitude are predicted right; -1 for none.
    int limit(bool far) const { return far ? far_limit_ : limit_; }
    void operator()(const int16_t *const *columns, size_t n_columns, bool far, size_t begin,
                    int32_t *predicted) const {
        (far ? kernel_.predict_far : kernel_.predict)(columns, solution_.weights.data(), n_columns,
                                                      solution_.shift, begin, predicted);
    }

private:
    const FitKernel &kernel_;
    const Solution &solution_;
    int limit_, far_limit_;
};

// How much the error of a prediction grows where its taps are noisy: quadratic forms in the weights
// of the plane's own taps (and, last, the target's) and of those of a reference plane, row after
// row, and a quarter of the noise's variance.
struct Noise {
    std::vector<int64_t> own, others;
    int64_t power = 0, parts = 1;

    // What errors of a predictor are hidden by.
    int64_t floor(const Solution &solution, size_t n_own, size_t n_others) const;
};

// First guess of the error's size in each row, and in the far rows of the plane's own taps.
struct Activity {
    std::vector<int32_t> near;
    std::vector<int64_t> far;
};

// Weights for every choice of groups; a choice names groups beyond the first, the plane's own,
// which belongs to all.  `rounds`, at least 1, refine the activity.  `noise` may be null.
std::vector<std::optional<Solution>> fit(const FitKernel &kernel,
                                         const std::vector<const TapGroup *> &groups,
                                         const Activity &activity,
                                         const std::vector<std::vector<size_t>> &choices,
                                         int rounds, const Noise *noise);

}  // namespace latrans
