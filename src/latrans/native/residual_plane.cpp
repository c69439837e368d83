#include "residual_plane.h"

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "residual_weights.h"

namespace latrans {

namespace {

constexpr int64_t kChunk = 64;  // columns whose cells stay in the nearest cache

}  // namespace

template <class T>
Plane<T>::Plane(const Model &model, const Job &job)
    : model_(model),
      job_(job),
      columns_(job.schedule.columns),
      coded_(std::make_shared<Coded>()),
      rows_((3 * model.widest_layer() + 1) * kLanes),
      scene_(std::make_unique<Scene<T>>()) {
    const Layout &layout = model.layout();
    const auto start = static_cast<T>(int64_t{std::min(std::max(0, job.lo), job.hi)} - job.lo);
    samples_ = Canvas<T>(layout, columns_, start);
    errors_ = Canvas<T>(layout, columns_, static_cast<T>(job.bands[0].sigma));
    energy_ = Canvas<T>(layout, columns_, 1);

    Scene<T> &scene = *scene_;
    scene.plan = &model.plan();
    scene.samples = samples_.origin();
    scene.errors = errors_.origin();
    if (job.network >= 0) {
        scene.network = &model.network(static_cast<size_t>(job.network));
        n_described_ = static_cast<size_t>(scene.network->n_references);
    }
    scene.step = job.step;
    scene.per_step = ((INT32_C(1) << 16) + job.step / 2) / job.step;
    scene.log_step = model.log2(static_cast<uint64_t>(job.step));
    scene.largest = static_cast<T>(int64_t{job.hi} - job.lo);
    if (job.picture) {
        picture_ = Canvas<T>(layout, columns_, 0);
        scene.picture = picture_.origin();
    }
    references_.resize(job.references.size());
    for (size_t i = 0; i < references_.size(); ++i) {
        references_[i].samples = Canvas<T>(layout, columns_, 0);
        scene.references[i].samples = references_[i].samples.origin();
        if (i >= n_described_) continue;
        references_[i].errors = Canvas<T>(layout, columns_, 0);
        references_[i].energy = Canvas<T>(layout, columns_, 1);
        scene.references[i].errors = references_[i].errors.origin();
        scene.references[i].energy = references_[i].energy.origin();
    }
    scene.n_references = static_cast<int>(references_.size());
    scene.wide_sums = sizeof(T) == 4 && job.has_wide_sums(model);
    void *rows = rows_.data();
    size_t space = rows_.size() * sizeof(int32_t);
    std::align(64, 1, rows, space);
    for (size_t i = 0; i < 3; ++i)
        answer_.rows[i] = static_cast<int32_t *>(rows) + i * model.widest_layer() * kLanes;

    Coded &coded = *coded_;
    coded.rows = job.schedule.rows;
    coded.columns = columns_;
    coded.n_samples = job.schedule.n_samples;
    coded.lo = job.lo;
    coded.hi = job.hi;
    coded.narrow = sizeof(T) == 4;
    const auto size = static_cast<size_t>(coded.rows * coded.columns);
    coded.samples.resize(size);
    if constexpr (sizeof(T) == 4) {
        coded.errors32.resize(size);
        coded.energy32.resize(size);
    } else {
        coded.errors64.resize(size);
        coded.energy64.resize(size);
    }
}

template <class T>
void Plane<T>::begin(int64_t top, const int32_t *firsts) {
    top_ = top;
    n_lanes_ = job_.schedule.lanes(top);
    const ptrdiff_t left = model_.layout().left;
    scene_->first_row = job_.schedule.plane && top == 0;
    set_bands();
    if (!job_.schedule.plane) {
        for (int64_t lane = 0; lane < n_lanes_; ++lane) {
            const auto sigma = static_cast<T>(scene_->sigma[lane]);
            const auto first = std::min(std::max(firsts[top + lane], job_.lo), job_.hi);
            for (ptrdiff_t column = -left; column <= 0; ++column) {
                samples_.at(lane, column) = static_cast<T>(int64_t{first} - job_.lo);
                errors_.at(lane, column) = sigma;
            }
            energy_.at(lane, 0) = sigma;
            // Filters that know nothing.
            for (int k = 0; k < model_.geometry().n_adaptive; ++k)
                answer_.filter[k][lane] = answer_.seen[k][lane] = 0;
            answer_.foretold[lane] = 0;
            answer_.miss[lane] = sigma;
            answer_.energy[lane] = 1;
        }
    } else if (top) {
        for (Canvas<T> *canvas : {&samples_, &errors_}) {
            canvas->carry(model_.geometry().up);
            for (ptrdiff_t column = -left; column < 0; ++column)
                canvas->at(0, column) = canvas->at(-1, 0);
        }
    }
    if (job_.picture) fill(picture_, kPictureReach, job_.picture, job_.lo);
    for (size_t i = 0; i < references_.size(); ++i) {
        const Coded &coded = *job_.references[i];
        fill(references_[i].samples, model_.reference_reach(), coded.samples.data(), coded.lo);
        if (i >= n_described_) continue;
        if (coded.narrow) {
            fill(references_[i].errors, model_.error_reach(), coded.errors32.data(), 0);
            fill(references_[i].energy, 0, coded.energy32.data(), 0);
        } else if constexpr (sizeof(T) == 8) {
            fill(references_[i].errors, model_.error_reach(), coded.errors64.data(), 0);
            fill(references_[i].energy, 0, coded.energy64.data(), 0);
        }
    }
}

// Coefficients of every lane; lanes that do not exist take those of the last one.
template <class T>
void Plane<T>::set_bands() {
    Scene<T> &scene = *scene_;
    for (int64_t lane = 0; lane < kLanes; ++lane) {
        const int64_t row = top_ + std::min(lane, n_lanes_ - 1);
        const Band &band = job_.bands[static_cast<size_t>(row / job_.band_rows)];
        set_lane(scene, lane, band.weights, job_.n_weights, band.shift, static_cast<T>(band.sigma),
                 model_.log2(static_cast<uint64_t>(band.sigma)));
    }
}

// Puts the strip of a finished plane and `margin` samples around it into a canvas.  Beyond its
// border the nearest sample stands; a track is one line.
template <class T>
template <class From>
void Plane<T>::fill(Canvas<T> &canvas, int margin, const From *values, int64_t origin) {
    const Schedule &s = job_.schedule;
    const int64_t around = s.plane ? margin : 0;
    const auto source = [&](int64_t row, int64_t column) {
        if (s.plane) return row * columns_ + std::min(std::max(column, int64_t{0}), columns_ - 1);
        return std::min(std::max(row * columns_ + column, int64_t{0}), s.n_samples - 1);
    };
    for (int64_t start = 0; start < columns_; start += kChunk)
        for (int64_t lane = -around; lane < n_lanes_ + around; ++lane) {
            const int64_t row = std::min(std::max(top_ + lane, int64_t{0}), s.rows - 1);
            const int64_t end = std::min(start + kChunk, columns_);
            const int64_t there = s.plane ? end : std::min(end, s.n_samples - row * columns_);
            if (there > start)
                canvas.put_row(lane, start, there - start, values + row * columns_ + start, origin);
            const auto single = [&](int64_t column) {
                canvas.put_row(lane, column, 1, values + source(row, column), origin);
            };
            for (int64_t column = std::max(there, start); column < end; ++column) single(column);
            for (int64_t column = -margin; start == 0 && column < 0; ++column) single(column);
            for (int64_t k = 0; end == columns_ && k < margin; ++k) single(columns_ + k);
        }
}

template <class T>
bool Plane<T>::look(int64_t step, Range lanes) {
    if (job_.schedule.plane) {
        if (step % kLag == 0 && step / kLag < lanes.end) start_sums(step / kLag, 0);
    } else if (step == job_.schedule.first_step()) {
        for (int64_t lane = lanes.begin; lane < lanes.end; ++lane) start_sums(lane, step);
    }
    Step<T> run;
    if constexpr (sizeof(T) == 4)
        run = model_.kernel().narrow;
    else
        run = model_.kernel().wide;
    return run(*scene_, step * model_.layout().stride(), static_cast<int>(lanes.begin),
               static_cast<int>(lanes.end), answer_);
}

// Box sums as they were one column before, in full.
template <class T>
void Plane<T>::start_sums(int64_t lane, int64_t column) {
    const auto &windows = model_.geometry().windows;
    for (size_t i = 0; i < windows.size(); ++i) {
        using Sum = std::make_unsigned_t<T>;
        const Window &w = windows[i];
        Sum sum = 0;
        const auto add = [&](int64_t dy, int64_t from, int64_t to) {
            for (int64_t dx = from; dx <= to; ++dx)
                sum += static_cast<Sum>(std::abs(errors_.at(lane + dy, column - 1 + dx)));
        };
        for (int dy = -w.above; dy < 0; ++dy) add(dy, -w.left, w.right);
        add(0, -w.left, -1);
        answer_.sums[i][lane] = static_cast<T>(sum);
    }
}

template <class T>
void Plane<T>::put(int64_t step, Range lanes, const T *values) {
    const ptrdiff_t at = step * model_.layout().stride();
    T *const samples = samples_.origin() + at, *const errors = errors_.origin() + at;
    T *const energy = energy_.origin() + at;
    for (int64_t lane = lanes.begin; lane < lanes.end; ++lane) {
        samples[lane] = values[lane];
        errors[lane] = values[lane] * 256 - answer_.prediction[lane];
        energy[lane] = answer_.energy[lane];
    }
    if (!job_.schedule.plane) return;
    if (scene_->first_row && step == 0) errors[0] = scene_->sigma[0];
    // Margins that these samples imply: of the row below, of this row, and above the first one.
    if (step % kLag == 0 && step / kLag < lanes.end && step / kLag + 1 < kLanes) {
        const int64_t lane = step / kLag;
        for (ptrdiff_t column = -model_.layout().left; column < 0; ++column) {
            samples_.at(lane + 1, column) = samples[lane];
            errors_.at(lane + 1, column) = errors[lane];
        }
    }
    const int64_t past = step - (columns_ - 1);
    const ptrdiff_t right = model_.layout().right;
    if (past >= 0 && past % kLag == 0 && past / kLag < lanes.end)
        for (ptrdiff_t k = 0; k < right; ++k) {
            samples_.at(past / kLag, columns_ + k) = samples[past / kLag];
            errors_.at(past / kLag, columns_ + k) = errors[past / kLag];
        }
    if (scene_->first_row && lanes.begin == 0)
        for (ptrdiff_t lane = 1; lane <= model_.geometry().up; ++lane)
            for (ptrdiff_t k = 0; k <= (past == 0 ? right : 0); ++k) {
                samples_.at(-lane, step + k) = samples[0];
                errors_.at(-lane, step + k) = errors[0];
            }
}

template <class T>
void Plane<T>::end() {
    for (int64_t start = 0; start < columns_; start += kChunk)
        for (int64_t lane = 0; lane < n_lanes_; ++lane) {
            const int64_t n = std::min(kChunk, columns_ - start);
            const auto to = static_cast<size_t>((top_ + lane) * columns_ + start);
            samples_.get_row(lane, start, n, &coded_->samples[to], job_.lo);
            if constexpr (sizeof(T) == 4) {
                errors_.get_row(lane, start, n, &coded_->errors32[to], 0);
                energy_.get_row(lane, start, n, &coded_->energy32[to], 0);
            } else {
                errors_.get_row(lane, start, n, &coded_->errors64[to], 0);
                energy_.get_row(lane, start, n, &coded_->energy64[to], 0);
            }
        }
}

template class Plane<int32_t>;
template class Plane<int64_t>;

}  // namespace latrans
