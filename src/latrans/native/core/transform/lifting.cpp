#include "transform/lifting.h"

#include <algorithm>
#include <vector>

#include "kernels.h"

namespace latrans {

namespace {

inline auto lift_of(const TransformKernel &kernel, int32_t) { return kernel.lift32; }
inline auto lift_of(const TransformKernel &kernel, int64_t) { return kernel.lift64; }

template <class T>
class Wavelet {
public:
    explicit Wavelet(const TransformKernel &kernel) : lift_(lift_of(kernel, T{})) {}

    // A plane to its four bands, ceil or floor of half its size each.
    void split(const T *plane, size_t rows, size_t columns, T *low, T *horizontal, T *vertical,
               T *diagonal) const {
        const size_t left = (columns + 1) / 2, right = columns - left;
        const size_t top = (rows + 1) / 2, bottom = rows - top;
        for (size_t y = 0; y < rows; ++y) {
            const T *from = plane + y * columns;
            T *l = (y & 1 ? vertical : low) + (y >> 1) * left;
            T *h = (y & 1 ? diagonal : horizontal) + (y >> 1) * right;
            for (size_t x = 0; x < right; ++x) {
                l[x] = from[2 * x];
                h[x] = from[2 * x + 1];
            }
            if (left > right) l[right] = from[columns - 1];
            along(l, left, h, right, false);
        }
        by_rows(left, [&](size_t x, size_t n) {
            down({low + x, top, n, left}, {vertical + x, bottom, n, left}, false);
        });
        by_rows(right, [&](size_t x, size_t n) {
            down({horizontal + x, top, n, right}, {diagonal + x, bottom, n, right}, false);
        });
    }

    void join(const T *low, const T *horizontal, const T *vertical, const T *diagonal, size_t rows,
              size_t columns, T *plane) const {
        const size_t left = (columns + 1) / 2, right = columns - left;
        const size_t top = (rows + 1) / 2, bottom = rows - top;
        std::vector<T> block(rows * std::min(left, kBlock));
        // Each row of the plane is its low half, then its high one.
        const auto upright = [&](const T *even, const T *odd, size_t width, T *to) {
            by_rows(width, [&](size_t x, size_t n) {
                T *e = block.data(), *o = e + top * n;
                for (size_t y = 0; y < top; ++y) std::copy_n(even + y * width + x, n, e + y * n);
                for (size_t y = 0; y < bottom; ++y) std::copy_n(odd + y * width + x, n, o + y * n);
                down({e, top, n, n}, {o, bottom, n, n}, true);
                for (size_t y = 0; y < rows; ++y)
                    std::copy_n((y & 1 ? o : e) + (y >> 1) * n, n, to + y * columns + x);
            });
        };
        upright(low, vertical, left, plane);
        upright(horizontal, diagonal, right, plane + left);
        std::vector<T> line(columns);
        for (size_t y = 0; y < rows; ++y) {
            T *to = plane + y * columns;
            std::copy_n(to, columns, line.data());
            const T *l = line.data(), *h = l + left;
            along(line.data(), left, line.data() + left, right, true);
            for (size_t x = 0; x < right; ++x) {
                to[2 * x] = l[x];
                to[2 * x + 1] = h[x];
            }
            if (left > right) to[columns - 1] = l[right];
        }
    }

private:
    static constexpr size_t kBlock = 256;  // columns that fit a cache
    static constexpr int32_t kCoefficients[4] = {-25987, -868, 14466, 7266};

    // `n` lines of `width` values, `stride` apart.
    struct Lines {
        T *data;
        size_t n, width, stride;
        T *line(size_t i) const { return data + i * stride; }
    };

    template <class Work>
    static void by_rows(size_t columns, Work work) {
        for (size_t x = 0; x < columns; x += kBlock) work(x, std::min(kBlock, columns - x));
    }

    // to[i] += lift(from[i + shift - 1] + from[i + shift]), the nearest line beyond an end.
    void step(const Lines &to, const Lines &from, size_t shift, int32_t k, bool undo) const {
        for (size_t i = 0; i < to.n; ++i) {
            const size_t after = i + shift;
            const T *a = from.line(std::min(after ? after - 1 : 0, from.n - 1));
            const T *b = from.line(std::min(after, from.n - 1));
            lift_(to.line(i), a, b, to.width, k, undo);
        }
    }
    void down(const Lines &low, const Lines &high, bool undo) const {
        if (!high.n) return;
        for (int i = 0; i < 4; ++i) {
            const int k = undo ? 3 - i : i;
            if (k & 1)
                step(low, high, 0, kCoefficients[k], undo);
            else
                step(high, low, 1, kCoefficients[k], undo);
        }
    }
    void along(T *low, size_t n_low, T *high, size_t n_high, bool undo) const {
        if (!n_high) return;
        for (int i = 0; i < 4; ++i) {
            const int k = undo ? 3 - i : i;
            const int32_t c = kCoefficients[k];
            if (k & 1) {
                lift_(low, high, high, 1, c, undo);
                lift_(low + 1, high, high + 1, n_high - 1, c, undo);
                if (n_low > n_high)
                    lift_(low + n_high, high + n_high - 1, high + n_high - 1, 1, c, undo);
            } else {
                const size_t inner = n_low > n_high ? n_high : n_high - 1;
                lift_(high, low, low + 1, inner, c, undo);
                if (inner < n_high) lift_(high + inner, low + inner, low + inner, 1, c, undo);
            }
        }
    }

    void (*lift_)(T *, const T *, const T *, size_t, int32_t, bool);
};

}  // namespace

template <class T>
void wavelet_split(const T *plane, size_t rows, size_t columns, const WaveletBands<T> &bands) {
    Wavelet<T>(kernels().transform)
        .split(plane, rows, columns, bands.low, bands.horizontal, bands.vertical, bands.diagonal);
}

template <class T>
void wavelet_join(const WaveletBands<const T> &bands, size_t rows, size_t columns, T *plane) {
    Wavelet<T>(kernels().transform)
        .join(bands.low, bands.horizontal, bands.vertical, bands.diagonal, rows, columns, plane);
}

template void wavelet_split(const int32_t *, size_t, size_t, const WaveletBands<int32_t> &);
template void wavelet_split(const int64_t *, size_t, size_t, const WaveletBands<int64_t> &);
template void wavelet_join(const WaveletBands<const int32_t> &, size_t, size_t, int32_t *);
template void wavelet_join(const WaveletBands<const int64_t> &, size_t, size_t, int64_t *);

int64_t largest_magnitude(const int32_t *values, size_t n) {
    return kernels().transform.largest32(values, n);
}

int64_t largest_magnitude(const int64_t *values, size_t n) {
    return kernels().transform.largest64(values, n);
}

}  // namespace latrans
