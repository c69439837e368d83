#include "residual_trials.h"

#include <algorithm>
#include <cstdlib>

#include "residual_bits.h"

namespace latrans {

namespace {

constexpr int64_t kFloor = 64;  // of errors: a quarter of a unit
constexpr int64_t kPredictionLimit = int64_t{1} << 45;  // of a prediction relative to its base
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

Trials::Trials(const Model &model, const int32_t *plane, const Schedule &schedule,
               const int32_t *picture, std::optional<Noise> noise)
    : model_(model),
      kernel_(fit_kernel(model.kernel().name)),
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
    if (picture_) sources.push_back({{picture_, &schedule_, true}, &picture_taps()});
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
        auto [known, fresh] = seen.references.try_emplace(coded.get());
        auto &[owner, group] = known->second;
        if (fresh) {
            owner = coded;
            const Picture picture{coded->samples.data(), &schedule_, true};
            group = gather(kernel_, g.base, seen.look, {{picture, &g.reference_taps}}, false);
        }
        found.push_back(&group);
    }
    return found;
}

std::vector<std::optional<Trial>> Trials::fit(const Subsample &look, const References &references,
                                              const Choices &choices, int rounds) {
    Seen &seen = see(look);
    const Groups all = groups(seen, references);
    Choices within;
    for (const auto &choice : choices) {
        within.emplace_back();
        for (size_t index : choice) within.back().push_back(index + 1);
    }
    auto solutions = latrans::fit(kernel_, all, seen.activity, within, rounds,
                                  noise_ ? &*noise_ : nullptr);
    std::vector<std::optional<Trial>> found(choices.size());
    for (size_t i = 0; i < choices.size(); ++i) {
        if (!solutions[i]) continue;
        Groups chosen{&seen.own};
        for (size_t index : within[i]) chosen.push_back(all[index]);
        const Score found_score = score(chosen, *solutions[i]);
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
    const Groups all = groups(see(look), references);
    std::optional<Coarse> best;
    while (solution.shift > kLeastShift) {
        const Score now = score(all, solution);
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

Score Trials::score(const Groups &groups, const Solution &solution) const {
    const auto &weights = solution.weights;
    const int shift = solution.shift;
    const TapGroup &own = *groups[0];
    const size_t n = own.columns.n, padded = own.columns.padded();
    const int64_t floor = noise_ ? noise_->floor(solution, own.n_taps,
                                                 model_.geometry().reference_taps.size())
                                 : kFloor;
    std::vector<const int16_t *> columns;
    const int16_t *largest = own.largest.data();
    int16_t greatest = own.greatest;
    std::vector<int16_t> raised;
    int64_t total = 0, most = 0;
    for (const TapGroup *group : groups) {
        for (size_t i = 0; i < group->n_taps && columns.size() < weights.size(); ++i) {
            const int64_t size = std::abs(int64_t{weights[columns.size()]});
            total += size;
            most = std::max(most, size);
            columns.push_back(group->columns[i]);
        }
        if (group == &own) continue;
        if (raised.empty()) raised = own.largest;
        for (size_t k = 0; k < padded; ++k)
            raised[k] = std::max(raised[k], group->largest[k]);
        largest = raised.data();
        greatest = std::max(greatest, group->greatest);
    }
    // Rows up to `limit` in magnitude are summed in 32 bits.
    int64_t limit = ((int64_t{1} << 30) >> std::max(0, 8 - shift)) / std::max<int64_t>(total, 1);
    limit = std::min<int64_t>(limit, INT16_MAX - 1);
    if (floor > int64_t{1} << 29 || most > INT16_MAX) limit = -1;
    Score found;
    for (size_t begin = 0; begin < padded && limit >= 0; begin += kFitRows) {
        int32_t predicted[kFitRows];
        kernel_.predict(columns.data(), weights.data(), columns.size(), shift, begin, predicted);
        kernel_.score(predicted, own.columns[own.n_taps], largest, static_cast<int>(limit),
                      static_cast<int32_t>(floor), logs_.data(), begin, found.error, found.cost);
    }
    if (greatest <= limit) return found;
    for (size_t k = 0; k < n; ++k) {
        if (largest[k] <= limit) continue;
        int64_t sum = 0;
        size_t w = 0;
        for (const TapGroup *group : groups) {
            const int32_t *exact = group->exact_row(k);
            for (size_t i = 0; i < group->n_taps && w < weights.size(); ++i, ++w)
                sum += int64_t{weights[w]} * (exact ? exact[i] : group->columns[i][k]);
        }
        sum = shift >= 8 ? sum >> (shift - 8) : sum * (1 << (8 - shift));
        const int64_t predicted = std::min(std::max(sum, -kPredictionLimit), kPredictionLimit);
        const int32_t *exact = own.exact_row(k);
        const int64_t target = exact ? exact[own.n_taps] : own.columns[own.n_taps][k];
        const int64_t error = std::abs(target * 256 - predicted);
        found.error += error;
        found.cost += model_.log2(static_cast<uint64_t>(error + floor));
    }
    return found;
}

}  // namespace latrans
