// Linear predictors tried on a subsample of a plane: the twin of residual/trials.py.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "residual_fit.h"
#include "residual_job.h"

namespace latrans {

// Every `step`-th sample of begin .. end, in the order of the plane.
struct Subsample {
    int64_t begin, end, step;

    size_t size() const { return static_cast<size_t>((end - begin + step - 1) / step); }
    bool operator==(const Subsample &other) const {
        return begin == other.begin && end == other.end && step == other.step;
    }
};

// Sum of absolute errors, and estimated bits in 1/32.
struct Score {
    int64_t error, cost;
};

struct Trial {
    Solution solution;
    Score score;
};

using References = std::vector<std::shared_ptr<const Coded>>;
using Choices = std::vector<std::vector<size_t>>;  // indices of references

// One plane that predictors are tried on; the plane and its reconstruction must outlive it.
// References have the plane's shape.
class Trials {
public:
    Trials(const Model &model, const int32_t *plane, const Schedule &schedule,
           const int32_t *picture, std::optional<Noise> noise)
        : model_(model),
          plane_(plane),
          schedule_(schedule),
          picture_(picture),
          noise_(std::move(noise)) {}

    std::vector<std::optional<Trial>> fit(const Subsample &look, const References &references,
                                          const Choices &choices, int rounds);
    Score measure(const Subsample &look, const References &references,
                  const std::vector<int32_t> &weights, int shift, int64_t floor);

    const Schedule &schedule() const { return schedule_; }

private:
    using Levels = std::vector<int32_t>;  // what taps are counted from

    void gather(const Subsample &look);
    const TapGroup &reference(const std::shared_ptr<const Coded> &coded);
    int32_t before(int64_t row, int64_t column, Offset at) const;
    int32_t nearest(const int32_t *values, int64_t row, int64_t column, Offset at) const;
    template <class Border>
    void collect(const int32_t *values, Offset at, const Border &border, int32_t *found) const;
    template <class Border>
    Levels levels(const int32_t *values, const Border &border) const;
    template <class Border>
    void add(const int32_t *values, const std::vector<Offset> &taps, const Levels &levels,
             const Border &border, TapGroup &group);
    void find_positions(const Subsample &look);
    Score score(const std::vector<const TapGroup *> &groups, const int32_t *weights,
                size_t n_weights, int shift, int64_t floor) const;

    const Model &model_;
    const int32_t *plane_;
    const Schedule schedule_;
    const int32_t *picture_;
    const std::optional<Noise> noise_;

    // What was gathered for the last look.
    Subsample look_{0, 0, 1};
    std::vector<int64_t> positions_;
    struct Near {
        size_t index;
        int64_t row, column;
    };
    std::vector<Near> near_border_;
    std::vector<int32_t> found_;
    TapGroup own_;
    std::vector<int32_t> target_;
    std::vector<int64_t> activity_;
    Levels base_;
    std::map<const Coded *, std::pair<std::shared_ptr<const Coded>, TapGroup>> references_;
};

}  // namespace latrans
