// Neighbours of a subsample of a plane, as the planner's fits want them.
#pragma once
#include <cstdint>
#include <vector>

#include "residual/geometry.h"
#include "residual/job.h"
#include "residual/plan/fit.h"
#include "residual/samples_view.h"

namespace latrans {

// Every `step`-th sample of begin .. end, in the order of the plane.
struct Subsample {
    int64_t begin, end, step;

    size_t size() const { return static_cast<size_t>((end - begin + step - 1) / step); }
    bool operator==(const Subsample &other) const {
        return begin == other.begin && end == other.end && step == other.step;
    }
};

// A plane as its neighbourhood sees it: the one that is coded, of which there is what comes before
// a sample, or one that is finished.  Margins are those of residual/canvas.py.
struct Picture {
    SamplesView values;
    const Schedule *schedule;
    bool finished;

    int32_t at(int64_t row, int64_t column, Offset offset) const;
    // Reference level of a sample.
    int32_t level(int64_t row, int64_t column, const Offset (&base)[2]) const;
};

// Differences of one picture's taps from the levels of another.
struct TapSource {
    Picture picture;
    const std::vector<Offset> *taps;
};

// Differences of all taps in turn, all of them from the levels of the first source's picture; with
// a target, the sample itself is the last column.
TapGroup gather(const FitKernel &kernel, const Offset (&base)[2], const Subsample &look,
                const std::vector<TapSource> &sources, bool target);

// 64, and 32 times the magnitudes of the first eight taps.
Activity activity_of(const FitKernel &kernel, const TapGroup &own);

}  // namespace latrans
