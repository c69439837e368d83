// Stretches: runs of steps that code the same lanes.
#pragma once
#include "residual/kernel/strip.h"

namespace latrans {
namespace {

constexpr int kDelay = 4;  // columns that a lane of a plane runs behind the one above

// Steps begin .. end code lanes first .. last.
struct Stretch {
    int64_t begin, end;
    int first, last;
};

inline int64_t lesser(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

// A track's first samples are stored apart.
inline int64_t first_step(const Extent &e) { return e.plane ? 0 : 1; }

// Samples of a lane of a track.
inline int64_t lane_length(const Extent &e, int lane) {
    return larger(0, lesser(e.columns, e.n_there - lane * e.columns));
}

inline int64_t end_step(const Extent &e) {
    return e.plane ? e.columns + kDelay * (e.n_lanes - 1) : lane_length(e, 0);
}

// The stretch that holds a step from the first to before the last.
inline Stretch stretch_at(const Extent &e, int64_t step) {
    if (!e.plane) {
        int last = e.n_lanes;
        while (last > 1 && lane_length(e, last - 1) <= step) --last;
        const int64_t begin = last < e.n_lanes ? lane_length(e, last) : 1;
        return {larger(begin, 1), lane_length(e, last - 1), 0, last};
    }
    const auto first = static_cast<int>(step < e.columns ? 0 : (step - e.columns) / kDelay + 1);
    const auto last = static_cast<int>(lesser(e.n_lanes, step / kDelay + 1));
    const int64_t begin = larger(kDelay * (last - 1), first ? e.columns + kDelay * (first - 1) : 0);
    const int64_t end = e.columns + kDelay * first;
    return {begin, last < e.n_lanes ? lesser(end, kDelay * last) : end, first, last};
}

}  // namespace
}  // namespace latrans
