#include "residual_plane.h"

#include <algorithm>
#include <type_traits>

#include "residual_weights.h"

namespace latrans {

template <>
const Loops<int32_t> &loops<int32_t>(const Model &model) {
    return model.kernel().narrow;
}
template <>
const Loops<int64_t> &loops<int64_t>(const Model &model) {
    return model.kernel().wide;
}

template <class T>
Plane<T>::Plane(const Model &model, const Job &job)
    : model_(model),
      job_(job),
      columns_(job.schedule.columns),
      coded_(std::make_shared<Coded>()),
      scene_(new (scratch_.take<Scene<T>>(1)) Scene<T>()) {
    const Layout &layout = model.layout();
    const auto canvas = [&](int64_t start) {
        return Canvas<T>(layout, columns_, static_cast<T>(start), scratch_);
    };
    samples_ = canvas(int64_t{std::min(std::max(0, job.lo), job.hi)} - job.lo);
    errors_ = canvas(job.bands[0].sigma);

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
        picture_ = canvas(0);
        scene.picture = picture_.origin();
    }
    for (size_t i = 0; i < job.references.size(); ++i) {
        references_[i].samples = canvas(0);
        scene.references[i].samples = references_[i].samples.origin();
        if (i >= n_described_) continue;
        references_[i].errors = canvas(0);
        references_[i].energy = canvas(1);
        scene.references[i].errors = references_[i].errors.origin();
        scene.references[i].energy = references_[i].energy.origin();
    }
    scene.n_references = static_cast<int>(job.references.size());
    scene.wide_sums = sizeof(T) == 4 && job.has_wide_sums(model);
    const size_t rows = model.widest_layer() * kLanes;
    for (int32_t *&to : answer_.rows) {
        to = scratch_.take<int32_t>(rows);
        std::fill_n(to, rows, 0);
    }

    Coded &coded = *coded_;
    coded.rows = job.schedule.rows;
    coded.columns = columns_;
    coded.n_samples = job.schedule.n_samples;
    coded.lo = job.lo;
    coded.hi = job.hi;
    coded.narrow = sizeof(T) == 4;
    coded.described = job.keep && model.describes_references();
    const auto size = static_cast<size_t>(coded.rows * coded.columns);
    if (job.keep || job.step > 1 || !job.known) {
        coded.samples = Cells<int32_t>(size);
        std::fill(coded.samples.data() + coded.n_samples, coded.samples.data() + size, job.lo);
    }
    if (coded.described) {
        energy_ = canvas(1);
        coded.errors<T>() = Cells<T>(size);
        coded.energy<T>() = Cells<T>(size);
    }
    strip_ = {{job.schedule.plane, 0, columns_, 0},
              scene_,
              &answer_,
              samples_.origin(),
              errors_.origin(),
              energy_.origin(),
              layout.stride(),
              model.geometry().up,
              layout.left,
              layout.right,
              0,
              {}};
    for (const Window &window : model.geometry().windows)
        strip_.windows[strip_.n_windows++] = {window.above, window.left, window.right};
}

template <class T>
void Plane<T>::begin(int64_t top, const int32_t *firsts) {
    top_ = top;
    n_lanes_ = job_.schedule.lanes(top);
    strip_.extent.n_lanes = static_cast<int>(n_lanes_);
    strip_.extent.n_there = job_.schedule.n_samples - top * columns_;
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
            if (strip_.energy) energy_.at(lane, 0) = sigma;
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
    for (size_t i = 0; i < job_.references.size(); ++i) {
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
    enter_rows(canvas.origin(), values + top_ * columns_, origin);
    const auto put = [&](int64_t lane, int64_t column, int64_t from) {
        canvas.put_row(lane, column, 1, values + from, origin);
    };
    const int64_t around = s.plane ? margin : 0;
    for (int64_t lane = -around; lane < n_lanes_ + around; ++lane) {
        const int64_t row = std::min(std::max(top_ + lane, int64_t{0}), s.rows - 1);
        const auto source = [&](int64_t column) {
            const int64_t at = row * columns_ + column;
            if (!s.plane) return std::min(std::max(at, int64_t{0}), s.n_samples - 1);
            return std::min(std::max(at, row * columns_), (row + 1) * columns_ - 1);
        };
        if (lane < 0 || lane >= n_lanes_)
            canvas.put_row(lane, 0, columns_, values + row * columns_, origin);
        for (int64_t column = std::max<int64_t>(0, s.n_samples - row * columns_);
             column < columns_; ++column)
            put(lane, column, source(column));
        for (int64_t k = 1; k <= margin; ++k) {
            put(lane, -k, source(-k));
            put(lane, columns_ + k - 1, source(columns_ + k - 1));
        }
    }
}

// What lies above and left of the strip is there already; what lies right of it is not.
template <class T>
template <class From>
void Plane<T>::enter(const From *samples) {
    const From *rows = samples + top_ * columns_;
    enter_rows(samples_.origin(), rows, job_.lo);
    const int64_t there = std::min(n_lanes_ * columns_, strip_.extent.n_there);
    if (coded_->samples.size())
        std::transform(rows, rows + std::max<int64_t>(there, 0),
                       coded_->samples.data() + top_ * columns_,
                       [](From value) { return static_cast<int32_t>(value); });
}

template <class T>
void Plane<T>::end() {
    const auto leave = [&](Canvas<T> &canvas, int32_t *rows, int64_t origin) {
        loops<T>(model_).leave(strip_, canvas.origin(), rows + top_ * columns_, origin);
    };
    if (coded_->samples.size() && (!job_.known || job_.step > 1))
        leave(samples_, coded_->samples.data(), job_.lo);
    if (!coded_->described) return;
    if constexpr (sizeof(T) == 4) {
        leave(errors_, coded_->errors32.data(), 0);
        leave(energy_, coded_->energy32.data(), 0);
    } else {
        loops<T>(model_).leave_wide(strip_, errors_.origin(),
                                    coded_->errors64.data() + top_ * columns_);
        loops<T>(model_).leave_wide(strip_, energy_.origin(),
                                    coded_->energy64.data() + top_ * columns_);
    }
}

template class Plane<int32_t>;
template class Plane<int64_t>;
template void Plane<int32_t>::enter(const int32_t *);
template void Plane<int32_t>::enter(const int64_t *);
template void Plane<int64_t>::enter(const int32_t *);
template void Plane<int64_t>::enter(const int64_t *);

}  // namespace latrans
