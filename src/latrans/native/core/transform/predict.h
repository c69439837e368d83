// Prediction of a band from the picture so far: `expected` of transform/predict.py.
#pragma once
#include "transform/inputs.h"

namespace latrans {
namespace {
namespace transform_kernel {

// (w0 a + w1 b + w2 c + 8192) >> 14; in 32 bits by halves, which is enough where weights sum to
// no more than 2^13 and the picture stays within 2^26.
inline int32_t weighted(const int32_t *w, int32_t a, int32_t b, int32_t c) {
    const int32_t high = w[0] * (a >> 14) + w[1] * (b >> 14) + w[2] * (c >> 14);
    const int32_t low = w[0] * (a & 16383) + w[1] * (b & 16383) + w[2] * (c & 16383);
    return high + ((low + 8192) >> 14);
}
inline int64_t weighted(const int32_t *w, int64_t a, int64_t b, int64_t c) {
    const auto of = [](int32_t weight, int64_t v) {
        return static_cast<uint64_t>(int64_t{weight}) * static_cast<uint64_t>(v);
    };
    return static_cast<int64_t>(of(w[0], a) + of(w[1], b) + of(w[2], c) + 8192) >> 14;
}

template <class T>
T outer_minus_inner(T outer, T inner, T other_inner, T other_outer) {
    if constexpr (sizeof(T) == 8)
        return static_cast<T>(static_cast<uint64_t>(outer) - static_cast<uint64_t>(inner) -
                              static_cast<uint64_t>(other_inner) +
                              static_cast<uint64_t>(other_outer));
    else
        return outer - inner - other_inner + other_outer;
}

template <class T>
T total(T a, T b) {
    if constexpr (sizeof(T) == 8)
        return static_cast<T>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
    else
        return a + b;
}

template <class T>
class Predictor {
public:
    Predictor(const TransformPrediction &job, TransformArena &arena)
        : job_(job), low_(static_cast<const T *>(job.low)) {
        for (auto &row : own_) row = row_of<T>(arena, job.low_columns + 4);
        for (auto &row : near_) row = row_of<T>(arena, job.low_columns + 4);
    }
    void run() {
        T *to = static_cast<T *>(job_.out);
        for (size_t y = 0; y < job_.rows; ++y, to += job_.columns)
            if (job_.vertical)
                vertical(y, to);
            else
                horizontal(y, to);
    }

private:
    // Row y of the picture, its border repeated.
    const T *line(size_t y, int slot) {
        const size_t n = job_.low_columns;
        const T *from = low_ + least(y, job_.low_rows - 1) * n;
        T *to = own_[slot];
        for (size_t x = 0; x < n; ++x) to[x] = from[x];
        to[-2] = to[-1] = to[0];
        to[n] = to[n + 1] = to[n + 2] = to[n - 1];
        return to;
    }
    void near(size_t y) {
        const T *p = line(y, 0);
        T *to = near_[y % 3];
        for (size_t x = 0; x < job_.columns; ++x)
            to[x] = outer_minus_inner(p[x - 1], p[x], p[x + 1], p[x + 2]);
    }
    void horizontal(size_t y, T *to) {
        const size_t last = job_.low_rows - 1;
        if (y == 0) near(0);
        if (y < last) near(y + 1);
        const T *a = near_[(y ? y - 1 : 0) % 3], *b = near_[y % 3];
        const T *c = near_[least(y + 1, last) % 3], *p = line(y, 0);
        const int32_t *w = job_.weights;
        for (size_t x = 0; x < job_.columns; ++x)
            to[x] = weighted(w, b[x], total(a[x], c[x]),
                             outer_minus_inner(p[x - 2], p[x], p[x + 1], p[x + 3]));
    }
    void vertical(size_t y, T *to) {
        const size_t n = job_.columns;
        const T *rows[6];  // y - 2 to y + 3
        for (int k = 0; k < 6; ++k) {
            const size_t at = y + static_cast<size_t>(k);
            rows[k] = low_ + least(at < 2 ? 0 : at - 2, job_.low_rows - 1) * job_.low_columns;
        }
        const T *b = rows[1], *c = rows[2], *d = rows[3], *e = rows[4];
        T *near = near_[0];
        const size_t wide = least(n + 1, job_.low_columns);
        for (size_t x = 0; x < wide; ++x) near[x] = outer_minus_inner(b[x], c[x], d[x], e[x]);
        near[-1] = near[0];
        near[wide] = near[wide - 1];
        const int32_t *w = job_.weights;
        for (size_t x = 0; x < n; ++x)
            to[x] = weighted(w, near[x], total(near[x - 1], near[x + 1]),
                             outer_minus_inner(rows[0][x], c[x], d[x], rows[5][x]));
    }

    const TransformPrediction &job_;
    const T *low_;
    T *own_[1], *near_[3];
};

void predict_band(const TransformPrediction &job, TransformArena &arena) {
    if (job.wide)
        Predictor<int64_t>(job, arena).run();
    else
        Predictor<int32_t>(job, arena).run();
}

}  // namespace transform_kernel
}  // namespace
}  // namespace latrans
