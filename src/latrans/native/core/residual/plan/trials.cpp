#include "residual/plan/trials.h"

#include <algorithm>
#include <cstdlib>
#include <stdexcept>

#include "bits.h"
#include "kernels.h"

namespace latrans {

namespace {

constexpr int64_t kFloor = 64;  // of errors: a quarter of a unit
constexpr int64_t kPredictionLimit = int64_t{1} << 45;  // of a prediction relative to its base
constexpr int64_t kGuessLimit = int64_t{1} << 28;               // of errors that rounds start from
constexpr int kLeastShift = 6;                          // of weights made coarser
constexpr size_t kLooks = 24;                           // of which differences are kept

const std::vector<Offset> &picture_taps() {
    static const std::vector<Offset> taps = [] {
        std::vector<Offset> all;
        for (int dy = -kPictureReach; dy <= kPictureReach; ++dy)
            for (int dx = -kPictureReach; dx <= kPictureReach; ++dx) all.push_back({dy, dx});
        return all;
    }();
    return taps;
}

}  // namespace

Trials::Trials(const Model &model, SamplesView plane, const Schedule &schedule,
               const int32_t *picture, std::optional<Noise> noise)
    : model_(model),
      kernel_(kernels(model.kernel().name)->fit),
      plane_(plane),
      schedule_(schedule),
      picture_(picture),
      noise_(std::move(noise)) {
    for (uint64_t step = 0; step < 64; ++step) logs_.push_back(model.log2(64 + step) - 6 * 32);
}

Trials::Seen &Trials::see(const Subsample &look) {
    for (const auto &seen : seen_)
        if (seen->look == look) return *seen;
    if (seen_.size() == kLooks) seen_.erase(seen_.begin());
    const Geometry &g = model_.geometry();
    std::vector<TapSource> sources{{{plane_, &schedule_, false}, &g.taps}};
    const SamplesView picture{picture_, Type::kInt32};
    if (picture_) sources.push_back({{picture, &schedule_, true}, &picture_taps()});
    auto seen = std::make_unique<Seen>();
    seen->look = look;
    seen->own = gather(kernel_, g.base, look, sources, true);
    seen->activity = activity_of(kernel_, seen->own);
    seen_.push_back(std::move(seen));
    return *seen_.back();
}

Trials::Groups Trials::groups(Seen &seen, const References &references) {
    Groups found{&seen.own};
    const Geometry &g = model_.geometry();
    for (const auto &coded : references) {
        if (!coded->samples.size()) throw std::invalid_argument("a reference plane was not kept");
        auto [known, fresh] = seen.references.try_emplace(coded.get());
        auto &[owner, group] = known->second;
        if (fresh) {
            if (!coded->samples.size())
                throw std::invalid_argument("a reference plane was not kept");
            owner = coded;
            const Picture picture{{coded->samples.data(), Type::kInt32}, &schedule_, true};
            group = gather(kernel_, g.base, seen.look, {{picture, &g.reference_taps}}, false);
        }
        found.push_back(&group);
    }
    return found;
}

std::vector<std::optional<Trial>> Trials::fit(const Subsample &look, const References &references,
                                              const Choices &choices, int rounds,
                                              const Solution *guess) {
    Seen &seen = see(look);
    const Groups all = groups(seen, references);
    Choices within;
    for (const auto &choice : choices) {
        within.emplace_back();
        for (size_t index : choice) within.back().push_back(index + 1);
    }
    std::vector<Groups> chosen(choices.size(), Groups{&seen.own});
    for (size_t i = 0; i < choices.size(); ++i)
        for (size_t index : within[i]) chosen[i].push_back(all[index]);
    const bool guessed = guess && !chosen.empty();
    auto solutions = latrans::fit(
        kernel_, all, guessed ? errors(seen, chosen[0], *guess) : seen.activity, within, rounds,
        noise_ ? &*noise_ : nullptr);
    std::vector<std::optional<Trial>> found(choices.size());
    seen.fitted.clear();
    for (size_t i = 0; i < choices.size(); ++i) {
        if (!solutions[i]) continue;
        const Score found_score = score(chosen[i], *solutions[i]);
        seen.fitted.push_back({chosen[i], *solutions[i], found_score});
        found[i] = Trial{std::move(*solutions[i]), found_score};
    }
    return found;
}

Score Trials::measure(const Subsample &look, const References &references,
                      const Solution &solution) {
    return score(groups(see(look), references), solution);
}

std::optional<Coarse> Trials::coarsen(const Subsample &look, int64_t n_samples,
                                      const References &references, Solution solution) {
    Seen &seen = see(look);
    const Groups all = groups(seen, references);
    const auto known = [&]() -> std::optional<Score> {
        for (const Fitted &fitted : seen.fitted)
            if (fitted.groups == all && fitted.solution.shift == solution.shift &&
                fitted.solution.weights == solution.weights)
                return fitted.score;
        return std::nullopt;
    };
    std::optional<Coarse> best;
    while (solution.shift > kLeastShift) {
        const auto before = known();
        const Score now = before ? *before : score(all, solution);
        int64_t side = 0;
        for (int32_t weight : solution.weights)
            side += bit_length(2 * static_cast<uint64_t>(std::abs(weight)) + 1) - 1;
        const double bits = static_cast<double>(now.cost) / 32 * static_cast<double>(n_samples) /
                                static_cast<double>(look.size()) +
                            static_cast<double>(side);
        if (best && bits >= best->bits) break;
        best = Coarse{{solution, now}, bits};
        for (int32_t &weight : solution.weights) weight = (weight + 1) >> 1;
        --solution.shift;
    }
    return best;
}

namespace {

// Groups of columns under one predictor.
class Weighted {
public:
    Weighted(const FitKernel &kernel, const std::vector<const TapGroup *> &groups,
             const Solution &solution)
        : groups_(groups),
          weights_(solution.weights),
          shift_(solution.shift),
          predict_(kernel, solution) {
        const TapGroup &own = *groups[0];
        largest_ = own.largest.data();
        greatest_ = own.greatest;
        for (const TapGroup *group : groups) {
            for (size_t i = 0; i < group->n_taps && columns_.size() < weights_.size(); ++i)
                columns_.push_back(group->columns[i]);
            if (group == &own) continue;
            if (raised_.empty()) raised_ = own.largest;
            for (size_t k = 0; k < raised_.size(); ++k)
                raised_[k] = std::max(raised_[k], group->largest[k]);
            largest_ = raised_.data();
            greatest_ = std::max(greatest_, group->greatest);
        }
        // Sums in two parts are for coefficients that gain by it; others have no such way.
        far_ = greatest_ > predict_.limit(false) && predict_.limit(true) > predict_.limit(false);
    }

    // Rows up to this in magnitude are summed in 32 bits.
    int limit() const { return predict_.limit(far_); }
    bool all() const { return greatest_ <= limit(); }
    const int16_t *largest() const { return largest_; }

    void predict(size_t begin, int32_t *predicted) const {
        predict_(columns_.data(), columns_.size(), far_, begin, predicted);
    }

    // Of any row.
    int64_t error(size_t row) const {
        int64_t sum = 0;
        size_t w = 0;
        for (const TapGroup *group : groups_) {
            const int32_t *exact = group->exact_row(row);
            for (size_t i = 0; i < group->n_taps && w < weights_.size(); ++i, ++w)
                sum += int64_t{weights_[w]} * (exact ? exact[i] : group->columns[i][row]);
        }
        sum = shift_ >= 8 ? sum >> (shift_ - 8) : sum * (1 << (8 - shift_));
        const int64_t predicted = std::min(std::max(sum, -kPredictionLimit), kPredictionLimit);
        const TapGroup &own = *groups_[0];
        const int32_t *exact = own.exact_row(row);
        const int64_t target = exact ? exact[own.n_taps] : own.columns[own.n_taps][row];
        return std::abs(target * 256 - predicted);
    }

private:
    const std::vector<const TapGroup *> &groups_;
    const std::vector<int32_t> &weights_;
    const int shift_;
    std::vector<const int16_t *> columns_;
    std::vector<int16_t> raised_;
    const int16_t *largest_;
    int16_t greatest_;
    const Predict predict_;
    bool far_;
};

}  // namespace

Score Trials::score(const Groups &groups, const Solution &solution) const {
    const TapGroup &own = *groups[0];
    const Weighted weighted(kernel_, groups, solution);
    const int64_t floor = noise_ ? noise_->floor(solution, own.n_taps,
                                                 model_.geometry().reference_taps.size())
                                 : kFloor;
    const bool narrow = floor <= int64_t{1} << 29;
    Score found;
    for (size_t begin = 0; begin < own.columns.padded() && narrow; begin += kFitRows) {
        int32_t predicted[kFitRows];
        weighted.predict(begin, predicted);
        kernel_.score(predicted, own.columns[own.n_taps], weighted.largest(), weighted.limit(),
                      static_cast<int32_t>(floor), logs_.data(), begin, found.error, found.cost);
    }
    if (narrow && weighted.all()) return found;
    for (size_t k = 0; k < own.columns.n; ++k) {
        if (narrow && weighted.largest()[k] <= weighted.limit()) continue;
        const int64_t error = weighted.error(k);
        found.error += error;
        found.cost += model_.log2(static_cast<uint64_t>(error + floor));
    }
    return found;
}

Activity Trials::errors(const Seen &seen, const Groups &groups, const Solution &solution) const {
    const Weighted weighted(kernel_, groups, solution);
    Activity found = seen.activity;
    for (size_t begin = 0; begin < seen.own.columns.padded(); begin += kFitRows) {
        int32_t predicted[kFitRows];
        weighted.predict(begin, predicted);
        for (size_t k = begin; k < std::min(begin + kFitRows, seen.own.columns.n); ++k) {
            const bool plain = weighted.largest()[k] <= weighted.limit();
            const int64_t error =
                plain ? std::abs(seen.own.columns[seen.own.n_taps][k] * 256 - predicted[k - begin])
                      : weighted.error(k);
            found.near[k] =
                static_cast<int32_t>(std::min(error, kGuessLimit)) + (found.near[k] >> 3);
        }
    }
    for (size_t f = 0; f < found.far.size(); ++f)
        found.far[f] =
            std::min(weighted.error(seen.own.far[f]), kGuessLimit) + (found.far[f] >> 3);
    return found;
}

}  // namespace latrans
