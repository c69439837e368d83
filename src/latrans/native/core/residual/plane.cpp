#include "residual/plane.h"

#include <algorithm>
#include <type_traits>

#include "residual/weights.h"

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
    const bool handed_out = !job.known && !job.keep;
    if (handed_out) coded.type = narrowest(job.lo, job.hi);
    if (coded.type != Type::kInt32) {
        with_type(coded.type, [&](auto *none) {
            using To = std::remove_pointer_t<decltype(none)>;
            coded.narrow_samples = Cells<unsigned char>(size * sizeof(To));
            auto *to = reinterpret_cast<To *>(coded.narrow_samples.data());
            std::fill(to + coded.n_samples, to + size, static_cast<To>(job.lo));
        });
    } else if (job.keep || job.step > 1 || handed_out) {
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
            answer_.predicted_error[lane] = 0;
            answer_.mean_abs_miss[lane] = sigma;
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

template <class T>
int32_t *Plane<T>::rows() {
    if (!rows_) rows_ = scratch_.take<int32_t>(static_cast<size_t>(kLanes * columns_));
    return rows_;
}

// Samples of the strip that exist; they follow each other.
template <class T>
int64_t Plane<T>::n_there() const {
    return std::max<int64_t>(0, std::min(n_lanes_ * columns_, strip_.extent.n_there));
}

// What lies above and left of the strip is there already; what lies right of it is not.
template <class T>
void Plane<T>::enter(SamplesView samples) {
    const int64_t first = top_ * columns_;
    const auto put = [&](const auto *from) {
        enter_rows(samples_.origin(), from, job_.lo);
        if (coded_->samples.size())
            std::transform(from, from + n_there(), coded_->samples.data() + first,
                           [](auto value) { return static_cast<int32_t>(value); });
    };
    if (samples.type == Type::kInt64) {
        put(static_cast<const int64_t *>(samples.values) + first);
    } else if (samples.type == Type::kInt32) {
        put(static_cast<const int32_t *>(samples.values) + first);
    } else {
        samples.copy(first, n_lanes_ * columns_, rows());
        put(static_cast<const int32_t *>(rows_));
    }
}

// Rows of the strip into the type that decoded samples are handed out in.
template <class T>
void Plane<T>::narrow_rows() {
    with_type(coded_->type, [&](auto *none) {
        using To = std::remove_pointer_t<decltype(none)>;
        std::transform(rows_, rows_ + n_there(),
                       reinterpret_cast<To *>(coded_->narrow_samples.data()) + top_ * columns_,
                       [](int32_t value) { return static_cast<To>(value); });
    });
}

template <class T>
void Plane<T>::end() {
    const auto leave = [&](Canvas<T> &canvas, int32_t *rows, int64_t origin) {
        loops<T>(model_).leave(strip_, canvas.origin(), rows + top_ * columns_, origin);
    };
    if (coded_->narrow_samples.size()) {
        loops<T>(model_).leave(strip_, samples_.origin(), rows(), job_.lo);
        narrow_rows();
    }
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

}  // namespace latrans
