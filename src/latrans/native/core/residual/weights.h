// Coefficients of a lane, laid out for the step kernel.
#pragma once
#include <algorithm>
#include <cstdint>

#include "residual/kernel/step.h"

namespace latrans {

// Two weights as the int16 halves of a cell.
inline int32_t weight_pair(int32_t first, int32_t second) {
    return static_cast<int32_t>((static_cast<uint32_t>(first) & 0xFFFF) |
                                static_cast<uint32_t>(second) << 16);
}

// Pairs of n weights, the last one maybe alone; returns where the next would go.
inline int32_t *pair_weights(const int32_t *weights, int n, int32_t *to, ptrdiff_t stride) {
    for (int k = 0; k < n; k += 2, to += stride)
        *to = weight_pair(weights[k], k + 1 < n ? weights[k + 1] : 0);
    return to;
}

// Weights of one lane, n of them; `shift` and `sigma` are their fraction bits and mean error.
template <class T>
void set_lane(Scene<T> &scene, int64_t lane, const int32_t *weights, int n, int shift, T sigma,
              int32_t log_sigma) {
    constexpr int64_t kLargest = sizeof(T) == 4 ? kNarrowLimit : 2 * kWideLimit;
    const Plan &plan = *scene.plan;
    int32_t all[kMaxTaps + 2] = {};
    std::copy_n(weights, n, all);
    for (int k = 0; k < kMaxTaps; ++k) scene.weights[k][lane] = all[k];
    const auto sum = [&](int from, int count) {
        T total = 0;
        for (int k = 0; k < count; ++k) total += all[from + k];
        return total;
    };
    scene.weight_sums[0][lane] = sum(0, plan.n_taps);
    int32_t *to = pair_weights(all, plan.n_taps, &scene.pairs[0][lane], kLanes);
    const int each = plan.n_reference_taps;
    scene.n_weighed = std::max(0, std::min(scene.n_references,
                                           (n - plan.n_own_taps + each - 1) / each));
    for (int r = 0, from = plan.n_own_taps; r < scene.n_weighed; ++r, from += each) {
        scene.weight_sums[1 + r][lane] = sum(from, each);
        // Wide planes may have more than there are pairs for, and do not use them.
        if (sizeof(T) == 4) to = pair_weights(all + from, each, to, kLanes);
    }
    scene.up[lane] = std::max(8 - shift, 0);
    scene.down[lane] = std::max(shift - 8, 0);
    scene.limit[lane] = static_cast<T>((kLargest >> (16 - shift)) - 1);
    scene.sigma[lane] = sigma;
    scene.log_sigma[lane] = log_sigma;
}

}  // namespace latrans
