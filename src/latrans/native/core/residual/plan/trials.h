// Linear predictors tried on subsamples of a plane: the twin of residual/trials.py.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "residual/job.h"
#include "residual/plan/fit.h"
#include "residual/plan/gather.h"

namespace latrans {

// Sum of absolute errors, and estimated bits in 1/32.
struct Score {
    int64_t error = 0, cost = 0;
};

struct Trial {
    Solution solution;
    Score score;
};

// A trial, and the bits of all samples that its subsample stands for, with side information.
struct Coarse {
    Trial trial;
    double bits;
};

using References = std::vector<std::shared_ptr<const Coded>>;
using Choices = std::vector<std::vector<size_t>>;  // indices of references

// One plane that predictors are tried on; the plane and its reconstruction must outlive it.
// References have the plane's shape.
class Trials {
public:
    Trials(const Model &model, SamplesView plane, const Schedule &schedule,
           const int32_t *picture, std::optional<Noise> noise);

    // `guess`, if not null, are weights for the first choice, whose errors the rounds start from.
    std::vector<std::optional<Trial>> fit(const Subsample &look, const References &references,
                                          const Choices &choices, int rounds,
                                          const Solution *guess);
    // Weights may be fewer than the taps.
    Score measure(const Subsample &look, const References &references, const Solution &solution);
    // Weights of fewer bits, as long as they cost more than what they foretell; nothing where they
    // have few as it is.
    std::optional<Coarse> coarsen(const Subsample &look, int64_t n_samples,
                                  const References &references, Solution solution);

    const Schedule &schedule() const { return schedule_; }

private:
    using Groups = std::vector<const TapGroup *>;
    struct Fitted {
        Groups groups;
        Solution solution;
        Score score;
    };
    struct Seen {
        Subsample look;
        TapGroup own;
        Activity activity;
        std::map<const Coded *, std::pair<std::shared_ptr<const Coded>, TapGroup>> references;
        std::vector<Fitted> fitted;  // by the last fit
    };

    Seen &see(const Subsample &look);
    Groups groups(Seen &seen, const References &references);
    Score score(const Groups &groups, const Solution &solution) const;
    Activity errors(const Seen &seen, const Groups &groups, const Solution &solution) const;

    const Model &model_;
    const FitKernel &kernel_;
    const SamplesView plane_;
    const Schedule schedule_;
    const int32_t *picture_;
    const std::optional<Noise> noise_;
    std::vector<int32_t> logs_;
    std::vector<std::unique_ptr<Seen>> seen_;  // what was gathered of the last looks
};

}  // namespace latrans
