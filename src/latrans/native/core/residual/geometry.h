// Geometry: which neighbours a sample may see (coding/geometry.py), and the schedule in which
// samples are coded (coding/schedule.py).
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "residual/kernel/step.h"

namespace latrans {

struct Geometry {
    bool plane;  // lanes are rows; else a track, whose lanes are segments
    Offset base[2];
    std::vector<Offset> taps, errors;
    std::vector<int> error_weights;
    std::vector<Window> windows;
    std::vector<std::vector<Term>> predictors;
    int n_described;
    bool median;
    int n_adaptive;
    int n_near;
    std::vector<Offset> reference_taps, reference_errors;
    int up, left, right;

    int lag() const { return plane ? kLag : 0; }
};

struct Range {
    int64_t begin, end;
};

// Strips of up to 16 lanes; within a strip, steps that each code at most one sample per lane.
struct Schedule {
    bool plane;
    int64_t rows, columns, n_samples;

    int64_t lag() const { return plane ? kLag : 0; }
    // A track's first samples are stored apart.
    int64_t first_step() const { return plane ? 0 : 1; }
    int64_t lanes(int64_t top) const { return std::min<int64_t>(kLanes, rows - top); }
    int64_t end_step(int64_t top) const { return columns + lag() * (lanes(top) - 1); }

    // Lanes that have a sample in this step.
    Range active(int64_t top, int64_t step) const {
        const int64_t n = lanes(top);
        if (plane)
            return {step < columns ? 0 : (step - columns) / kLag + 1, std::min(n, step / kLag + 1)};
        const int64_t there = step < n_samples ? (n_samples - 1 - step) / columns + 1 - top : 0;
        return {0, std::max<int64_t>(0, std::min(n, there))};
    }
};

}  // namespace latrans
