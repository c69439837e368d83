// Bindings of the planner's trials: arguments are checked here, then tried without the GIL.
#include "bindings.h"

#include <memory>
#include <optional>
#include <tuple>
#include <utility>

#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "arrays.h"
#include "gil.h"
#include "require.h"
#include "residual/plan/trials.h"

namespace nb = nanobind;
using namespace latrans;

namespace {

using Array = nb::ndarray<const int32_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Range3 = std::tuple<int64_t, int64_t, int64_t>;
using Form = nb::ndarray<const int64_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using NoiseArgs = std::tuple<Form, Form, int64_t, int64_t>;
using Pieces = std::vector<std::shared_ptr<Coded>>;
using Sets = std::vector<std::pair<std::vector<int32_t>, int>>;  // weights, shift
using Found = std::optional<std::tuple<std::vector<int32_t>, int, int64_t, int64_t>>;

// Trials and the arrays that they point to.
struct OwnedTrials {
    std::shared_ptr<Model> model;
    Samples plane;
    std::optional<Array> picture;
    std::unique_ptr<Trials> trials;
};

OwnedTrials make_trials(std::shared_ptr<Model> model, Samples plane, int64_t n_samples,
                        std::optional<Array> picture, std::optional<NoiseArgs> given) {
    const Schedule schedule{model->geometry().plane, static_cast<int64_t>(plane.shape(0)),
                            static_cast<int64_t>(plane.shape(1)), n_samples};
    const int64_t size = schedule.rows * schedule.columns;
    require(n_samples >= 1 && n_samples <= size && (!schedule.plane || n_samples == size),
            "number of samples does not fit the shape");
    const SamplesView samples = latrans::given(plane);
    require(samples.type != Type::kInt64, "samples that predictors are tried on have 32 bits");
    require(model->geometry().taps.size() >= 8, "geometry has too few taps");
    require(!picture || (picture->shape(0) == plane.shape(0) &&
                         picture->shape(1) == plane.shape(1)),
            "reconstruction has another shape than its plane");
    std::optional<Noise> noise;
    if (given) {
        const auto &[own, others, power, parts] = *given;
        const size_t n_own = model->geometry().taps.size() + (picture ? kPictureTaps : 0) + 1;
        const size_t n_others = model->geometry().reference_taps.size();
        require(own.shape(0) == n_own && own.shape(1) == n_own && others.shape(0) == n_others &&
                    others.shape(1) == n_others,
                "noise has another number of taps");
        require(power >= 0 && power <= 1 << 20 && parts >= 1, "impossible noise");
        noise = Noise{{own.data(), own.data() + own.size()},
                      {others.data(), others.data() + others.size()},
                      power,
                      parts};
    }
    auto trials = std::make_unique<Trials>(*model, samples, schedule,
                                           picture ? picture->data() : nullptr, std::move(noise));
    return {std::move(model), std::move(plane), std::move(picture), std::move(trials)};
}

std::vector<Subsample> checked(const OwnedTrials &owned, const std::vector<Range3> &ranges) {
    std::vector<Subsample> looks;
    for (const auto &[begin, end, step] : ranges) {
        require(0 <= begin && begin < end && end <= owned.trials->schedule().n_samples &&
                    step >= 1,
                "no such samples");
        looks.push_back({begin, end, step});
    }
    return looks;
}

References checked(const OwnedTrials &owned, const Pieces &pieces) {
    const Schedule &s = owned.trials->schedule();
    for (const auto &piece : pieces)
        require(piece && piece->rows == s.rows && piece->columns == s.columns &&
                    piece->n_samples == s.n_samples,
                "reference has another shape than its plane");
    return References(pieces.begin(), pieces.end());
}

std::vector<Solution> checked(const Sets &sets, size_t n) {
    require(sets.size() == n, "one coefficient set per subsample is needed");
    std::vector<Solution> solutions;
    for (const auto &[weights, shift] : sets) {
        require(shift >= 0 && shift <= 16, "shift of a coefficient set out of range");
        for (int32_t weight : weights)
            require(weight >= -32768 && weight <= 32768, "a weight exceeds 16 bits");
        solutions.push_back({weights, shift});
    }
    return solutions;
}

Found found(std::optional<Trial> &&trial) {
    if (!trial) return std::nullopt;
    return std::make_tuple(std::move(trial->solution.weights), trial->solution.shift,
                           trial->score.error, trial->score.cost);
}

// Of every subsample, for every choice.
std::vector<std::vector<Found>> fit_trials(OwnedTrials &owned, const std::vector<Range3> &ranges,
                                           const Pieces &pieces, const Choices &choices,
                                           int rounds, const std::optional<Sets> &sets) {
    require(rounds >= 1 && rounds <= 64, "rounds of a fit out of range");
    const auto looks = checked(owned, ranges);
    const References references = checked(owned, pieces);
    for (const auto &choice : choices)
        for (size_t index : choice) require(index < references.size(), "no such reference");
    std::vector<Solution> guesses;
    if (sets) guesses = checked(*sets, looks.size());
    std::vector<std::vector<Found>> result;
    const latrans::GilReleased release;
    for (size_t i = 0; i < looks.size(); ++i) {
        result.emplace_back();
        for (auto &trial : owned.trials->fit(looks[i], references, choices, rounds,
                                             sets ? &guesses[i] : nullptr))
            result.back().push_back(found(std::move(trial)));
    }
    return result;
}

// Error and cost of every subsample.
std::vector<std::pair<int64_t, int64_t>> measure_trials(OwnedTrials &owned,
                                                        const std::vector<Range3> &ranges,
                                                        const Pieces &pieces, const Sets &sets) {
    const auto looks = checked(owned, ranges);
    const References references = checked(owned, pieces);
    const auto solutions = checked(sets, looks.size());
    std::vector<std::pair<int64_t, int64_t>> result;
    const latrans::GilReleased release;
    for (size_t i = 0; i < looks.size(); ++i) {
        const Score score = owned.trials->measure(looks[i], references, solutions[i]);
        result.emplace_back(score.error, score.cost);
    }
    return result;
}

// The trial and the bits of every subsample.
std::vector<std::pair<Found, double>> coarsen_trials(OwnedTrials &owned,
                                                     const std::vector<Range3> &ranges,
                                                     const std::vector<int64_t> &n_samples,
                                                     const Pieces &pieces, const Sets &sets) {
    const auto looks = checked(owned, ranges);
    const References references = checked(owned, pieces);
    auto solutions = checked(sets, looks.size());
    require(n_samples.size() == looks.size(), "one count per subsample is needed");
    std::vector<std::pair<Found, double>> result;
    const latrans::GilReleased release;
    for (size_t i = 0; i < looks.size(); ++i) {
        auto coarse = owned.trials->coarsen(looks[i], n_samples[i], references,
                                            std::move(solutions[i]));
        if (coarse) result.emplace_back(found(std::move(coarse->trial)), coarse->bits);
        else result.emplace_back(std::nullopt, 0.0);
    }
    return result;
}

}  // namespace

void bind_trials(nb::module_ &module) {
    nb::class_<OwnedTrials>(module, "ResidualTrials")
        .def(nb::new_(&make_trials), nb::arg(), nb::arg(), nb::arg(), nb::arg().none(),
             nb::arg().none())
        .def("fit", &fit_trials, nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg().none())
        .def("measure", &measure_trials)
        .def("coarsen", &coarsen_trials);
}
