// How a strip's canvases follow from its samples: errors, margins, and where box sums begin.
#pragma once
#include "residual/kernel/stretch.h"
#include "simd.h"

namespace latrans {
namespace {

// Box sums as they were one column before, in full.
template <class T>
void start_sums(const Strip<T> &strip, int lane, int64_t column) {
    const ptrdiff_t lag = strip.extent.plane ? kDelay : 0, stride = strip.stride;
    const T *last = strip.errors + (column - 1 + lag * lane) * stride + lane;
    for (int i = 0; i < strip.n_windows; ++i) {
        const auto &window = strip.windows[i];
        uint64_t sum = 0;
        const auto add = [&](const T *row, int from, int to) {
            for (int dx = from; dx <= to; ++dx) {
                const T error = row[dx * stride];
                sum += static_cast<uint64_t>(error < 0 ? -error : error);
            }
        };
        for (int dy = 1; dy <= window.above; ++dy)
            add(last - dy * (lag * stride + 1), -window.left, window.right);
        add(last, -window.left, -1);
        strip.answer->sums[i][lane] = static_cast<T>(sum);
    }
}

// What lanes need that begin with this stretch.
template <class T>
void start_lanes(const Strip<T> &strip, const Stretch &stretch) {
    if (strip.extent.plane) {
        if (stretch.begin == kDelay * (stretch.last - 1)) start_sums(strip, stretch.last - 1, 0);
    } else if (stretch.begin == 1) {
        for (int lane = 0; lane < stretch.last; ++lane) start_sums(strip, lane, 1);
    }
}

// Stores lanes first .. last of 16.
template <class T>
void store_lanes(T *cells, const T *values, int first, int last) {
    if (first == 0 && last == kLanes) {
        for (int b = 0; b < kLanes; b += width<T>) store(cells + b, load(values + b));
    } else {
        for (int lane = first; lane < last; ++lane) cells[lane] = values[lane];
    }
}

// Errors and energies of the lanes of a step whose samples are in the canvas.
template <class T>
void put_errors(const Strip<T> &strip, int64_t step, int first, int last) {
    const Answer<T> &answer = *strip.answer;
    const ptrdiff_t at = step * strip.stride;
    alignas(64) T errors[kLanes];
    for (int b = 0; b < kLanes; b += width<T>)
        store(errors + b, load(strip.samples + at + b) * 256 - load(answer.prediction + b));
    if (strip.scene->first_row && step == 0) errors[0] = strip.scene->sigma[0];
    store_lanes(strip.errors + at, errors, first, last);
    if (strip.energy) store_lanes(strip.energy + at, answer.energy, first, last);
}

// Margins of a plane that a step implies: of the row below, of this row, and above the first one.
template <class T>
void put_margins(const Strip<T> &strip, T *canvas, int64_t step, int first, int last) {
    const ptrdiff_t stride = strip.stride;
    T *const cells = canvas + step * stride;
    if (step % kDelay == 0 && step / kDelay == last - 1 && last < kLanes) {
        // Column 0 of the last lane; the row below runs `kDelay` steps behind.
        T *left = cells + kDelay * stride + last;
        for (int k = 1; k <= strip.left; ++k) left[-k * stride] = cells[last - 1];
    }
    const int64_t past = step - (strip.extent.columns - 1);
    const bool ends = past >= 0 && past == int64_t{kDelay} * first;
    for (int k = 1; ends && k <= strip.right; ++k) cells[k * stride + first] = cells[first];
    if (!strip.scene->first_row || first) return;
    for (int lane = 1; lane <= strip.up; ++lane)
        for (int k = 0; k <= (ends ? strip.right : 0); ++k)
            cells[(k - kDelay * lane) * stride - lane] = cells[0];
}

// Follows up the samples of a step, which are in the canvas.
template <class T>
void put(const Strip<T> &strip, int64_t step, int first, int last) {
    put_errors(strip, step, first, last);
    if (!strip.extent.plane) return;
    const int64_t past = step - (strip.extent.columns - 1);
    if (!strip.scene->first_row && last == strip.extent.n_lanes && past < 0 &&
        step > kDelay * (last - 1))
        return;
    put_margins(strip, strip.samples, step, first, last);
    put_margins(strip, strip.errors, step, first, last);
}

// Calls visit(step, first, last) for each step of a strip and the lanes that it codes, up to the
// first that cannot be done.
template <class T, class Visit>
LATRANS_INLINE Outcome each_step(const Strip<T> &strip, Visit &&visit) {
    const Extent &extent = strip.extent;
    for (int64_t step = first_step(extent), end = end_step(extent); step < end;) {
        const Stretch stretch = stretch_at(extent, step);
        start_lanes(strip, stretch);
        for (; step < stretch.end; ++step) {
            const Outcome outcome = visit(step, stretch.first, stretch.last);
            if (outcome != Outcome::kDone) return outcome;
        }
    }
    return Outcome::kDone;
}

}  // namespace
}  // namespace latrans
