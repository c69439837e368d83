#include "residual_trials.h"

#include <algorithm>
#include <cstdlib>
#include <stdexcept>

#include "residual_products.h"

namespace latrans {

namespace {

constexpr int64_t kFloor = 64;  // of errors: a quarter of a unit
constexpr int64_t kPredictionLimit = int64_t{1} << 45;  // of a prediction relative to its base

// Farthest that any tap looks, in any direction.
struct Reach {
    int64_t up = 0, down = 0, left = 0, right = 0;

    void add(Offset at) {
        up = std::max<int64_t>(up, -at.dy);
        down = std::max<int64_t>(down, at.dy);
        left = std::max<int64_t>(left, -at.dx);
        right = std::max<int64_t>(right, at.dx);
    }
};

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

// A neighbour among the samples before, by the margins of residual/canvas.py.
int32_t Trials::before(int64_t row, int64_t column, Offset at) const {
    const int64_t columns = schedule_.columns;
    column += row == 0 && at.dy < 0 ? -1 : at.dx;
    if (!schedule_.plane) return plane_[row * columns + std::max<int64_t>(column, 0)];
    row = std::max<int64_t>(row + at.dy, 0);
    if (column < 0) return row ? plane_[(row - 1) * columns] : 0;
    return plane_[row * columns + std::min(column, columns - 1)];
}

// A neighbour in a finished plane: beyond its border the nearest sample; a track is one line.
int32_t Trials::nearest(const int32_t *values, int64_t row, int64_t column, Offset at) const {
    const int64_t columns = schedule_.columns;
    const auto within = [](int64_t i, int64_t n) {
        return std::min(std::max<int64_t>(i, 0), n - 1);
    };
    column += at.dx;
    if (!schedule_.plane) return values[within(row * columns + column, schedule_.n_samples)];
    return values[within(row + at.dy, schedule_.rows) * columns + within(column, columns)];
}

// Neighbours of all samples: of most by a plain look, of those near a border by `border`.
template <class Border>
void Trials::collect(const int32_t *values, Offset at, const Border &border,
                     int32_t *found) const {
    const size_t n = look_.size();
    const int64_t away = (schedule_.plane ? at.dy * schedule_.columns : 0) + at.dx;
    if (near_border_.size() < n)
        for (size_t k = 0; k < n; ++k) found[k] = values[positions_[k] + away];
    for (const Near &near : near_border_) found[near.index] = border(near.row, near.column, at);
}

template <class Border>
Trials::Levels Trials::levels(const int32_t *values, const Border &border) const {
    const Offset(&base)[2] = model_.geometry().base;
    Levels a(look_.size()), b(look_.size());
    collect(values, base[0], border, a.data());
    collect(values, base[1], border, b.data());
    for (size_t k = 0; k < a.size(); ++k)
        a[k] = static_cast<int32_t>((int64_t{a[k]} + b[k] + 1) >> 1);
    return a;
}

template <class Border>
void Trials::add(const int32_t *values, const std::vector<Offset> &taps, const Levels &levels,
                 const Border &border, TapGroup &group) {
    const size_t n = look_.size();
    group.values.resize((group.n_taps + taps.size()) * n);
    found_.resize(n);
    for (Offset at : taps) {
        collect(values, at, border, found_.data());
        int32_t *out = &group.values[group.n_taps++ * n];
        group.largest = std::max<int64_t>(group.largest,
                                          subtract(found_.data(), levels.data(), n, out));
    }
}

// Where the samples are, and which of them have taps beyond a border.
void Trials::find_positions(const Subsample &look) {
    look_ = look;
    const Geometry &g = model_.geometry();
    Reach reach;
    for (const auto *offsets : {&g.taps, &g.reference_taps, &picture_taps()})
        for (Offset at : *offsets) reach.add(at);
    for (Offset at : g.base) reach.add(at);
    const Schedule &s = schedule_;
    positions_.clear();
    near_border_.clear();
    int64_t inside = -1, row = look.begin / s.columns, column = look.begin % s.columns;
    for (int64_t p = look.begin; p < look.end; p += look.step, column += look.step) {
        for (; column >= s.columns; column -= s.columns) ++row;
        const bool far = column >= reach.left && column + reach.right < s.columns &&
                         (s.plane ? row >= reach.up && row + reach.down < s.rows
                                  : p + reach.right < s.n_samples);
        if (far) inside = p;
        if (!far) near_border_.push_back({positions_.size(), row, column});
        positions_.push_back(p);
    }
    // The plain look may happen there, too, if it is turned elsewhere.
    for (const Near &near : near_border_) positions_[near.index] = inside;
}

void Trials::gather(const Subsample &look) {
    if (look == look_) return;
    find_positions(look);
    const auto border = [this](int64_t y, int64_t x, Offset at) { return before(y, x, at); };
    own_.n_taps = 0;
    own_.largest = 0;
    references_.clear();
    const Geometry &g = model_.geometry();
    base_ = levels(plane_, border);
    add(plane_, g.taps, base_, border, own_);
    if (picture_)
        add(picture_, picture_taps(), base_,
            [this](int64_t y, int64_t x, Offset at) { return nearest(picture_, y, x, at); }, own_);
    const size_t n = look.size();
    for (size_t k = 0; k < n; ++k)
        found_[k] = plane_[look.begin + static_cast<int64_t>(k) * look.step];
    target_.resize(n);
    subtract(found_.data(), base_.data(), n, target_.data());
    activity_.assign(n, 64);
    for (size_t i = 0; i < 8; ++i) add_activity(&own_.values[i * n], n, activity_.data());
}

const TapGroup &Trials::reference(const std::shared_ptr<const Coded> &coded) {
    const auto known = references_.find(coded.get());
    if (known != references_.end()) return known->second.second;
    if (!coded->samples.size()) throw std::invalid_argument("a reference plane was not kept");
    const int32_t *values = coded->samples.data();
    const auto border = [&](int64_t y, int64_t x, Offset at) { return nearest(values, y, x, at); };
    auto &[owner, group] = references_[coded.get()];
    owner = coded;
    add(values, model_.geometry().reference_taps, levels(values, border), border, group);
    return group;
}

std::vector<std::optional<Trial>> Trials::fit(const Subsample &look, const References &references,
                                              const Choices &choices, int rounds) {
    gather(look);
    std::vector<const TapGroup *> groups{&own_};
    for (const auto &coded : references) groups.push_back(&reference(coded));
    std::vector<std::vector<size_t>> within;
    for (const auto &choice : choices) {
        within.emplace_back();
        for (size_t index : choice) within.back().push_back(index + 1);
    }
    const auto solutions = latrans::fit(groups, target_, activity_, within, rounds,
                                        noise_ ? &*noise_ : nullptr);
    std::vector<std::optional<Trial>> found(choices.size());
    for (size_t i = 0; i < choices.size(); ++i) {
        if (!solutions[i]) continue;
        std::vector<const TapGroup *> chosen{&own_};
        for (size_t index : within[i]) chosen.push_back(groups[index]);
        const auto &[weights, shift] = *solutions[i];
        found[i] = Trial{*solutions[i],
                         score(chosen, weights.data(), weights.size(), shift, kFloor)};
    }
    return found;
}

Score Trials::measure(const Subsample &look, const References &references,
                      const std::vector<int32_t> &weights, int shift, int64_t floor) {
    gather(look);
    std::vector<const TapGroup *> groups{&own_};
    for (const auto &coded : references) groups.push_back(&reference(coded));
    return score(groups, weights.data(), weights.size(), shift, floor);
}

// Weights may be fewer than the taps.
Score Trials::score(const std::vector<const TapGroup *> &groups, const int32_t *weights,
                    size_t n_weights, int shift, int64_t floor) const {
    const size_t n = target_.size();
    std::vector<int64_t> sums(n), part(n);
    for (const TapGroup *group : groups) {
        const size_t here = std::min(n_weights, group->n_taps);
        weigh(group->values.data(), n, group->largest, weights, here, part.data());
        for (size_t k = 0; k < n; ++k) sums[k] += part[k];
        weights += here;
        n_weights -= here;
    }
    Score total{0, 0};
    for (size_t k = 0; k < n; ++k) {
        const int64_t sum = shift >= 8 ? sums[k] >> (shift - 8) : sums[k] * (1 << (8 - shift));
        const int64_t predicted = std::min(std::max(sum, -kPredictionLimit), kPredictionLimit);
        const int64_t error = std::abs(target_[k] * int64_t{256} - predicted);
        total.error += error;
        total.cost += model_.log2(static_cast<uint64_t>(error + floor));
    }
    return total;
}

}  // namespace latrans
