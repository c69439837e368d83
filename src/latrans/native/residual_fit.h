// Robust least squares in exact arithmetic: the twin of residual/linear.py.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace latrans {

// Differences of one group of taps, tap after tap, n samples each.
struct TapGroup {
    size_t n_taps = 0;
    std::vector<int32_t> values;
    int64_t largest = 0;  // no value exceeds it in magnitude
};

struct Solution {
    std::vector<int32_t> weights;
    int shift;
};

// How much the error of a prediction grows where its taps are noisy: quadratic forms in the weights
// of the plane's own taps (and, last, the target's) and of those of a reference plane, row after
// row, and a quarter of the noise's variance.
struct Noise {
    std::vector<int64_t> own, others;
    int64_t power = 0, parts = 1;
};

// Weights for every choice of groups; a choice names groups beyond the first, which belongs to all.
// `activity` is the first guess of the error's size; `rounds`, at least 1, refine it.  `noise` may
// be null.
std::vector<std::optional<Solution>> fit(const std::vector<const TapGroup *> &groups,
                                         const std::vector<int32_t> &target,
                                         const std::vector<int64_t> &activity,
                                         const std::vector<std::vector<size_t>> &choices,
                                         int rounds, const Noise *noise);

}  // namespace latrans
