// Passes over whole arrays, before and after the residual coder; one copy per instruction set.
//
// Plain loops over blocks that fit the nearest cache, for the compiler to turn into vectors.  Every
// double is computed as NumPy does: one rounding per operation, none contracted.
#pragma once
#include "maps/passes.h"

namespace latrans {
namespace {
namespace maps_kernel {

constexpr size_t kBlock = 512;
constexpr double kWhole = 6755399441055744.0;  // 1.5 * 2**52: adding it rounds to whole numbers
constexpr double kLimit = 1 << 30;             // of integers
constexpr size_t kGroup = 32;                  // samples that share a scale

double magnitude(double x) { return x < 0 ? -x : x; }

// What a product comes back as: floats round, integers stay within their type.
template <class T> struct Value {
    static double of(double x, const ValueRange &r) {
        return static_cast<double>(whole(x, r));
    }
    static T stored(double x, const ValueRange &r) { return static_cast<T>(whole(x, r)); }

  private:
    static int64_t whole(double x, const ValueRange &r) {
        x = x < r.lo ? r.lo : x;
        return static_cast<int64_t>(x > r.hi ? r.hi : x);
    }
};
template <> struct Value<float> {
    static double of(double x, const ValueRange &) { return static_cast<float>(x); }
    static float stored(double x, const ValueRange &) { return static_cast<float>(x); }
};
template <> struct Value<double> {
    static double of(double x, const ValueRange &) { return x; }
    static double stored(double x, const ValueRange &) { return x; }
};

// Adds to `found` how a block of values compares with what its integers come back as.
template <class T>
void compare_block(const T *values, const double *whole, size_t n, double step, double bound,
                   const ValueRange &range, Compared &found) {
    int64_t missed = 0, same = 0, told = 0;
    for (size_t i = 0; i < n; ++i) {
        const double value = static_cast<double>(values[i]);
        const double back = Value<T>::of(whole[i] * step, range);
        missed += !(magnitude(back - value) <= bound);
        same += (back == value) & (whole[i] != 0);
        told += whole[i] != 0;
    }
    found.missed += missed;
    found.same += same;
    found.told += told;
}

template <class T>
bool quantise(const void *data, size_t n, double step, double bound, const ValueRange &range,
              int32_t *out, Compared &found) {
    const T *values = static_cast<const T *>(data);
    double whole[kBlock];
    for (size_t at = 0; at < n; at += kBlock) {
        const size_t m = n - at < kBlock ? n - at : kBlock;
        int64_t unfit = 0;
        for (size_t i = 0; i < m; ++i) {
            const double exact = static_cast<double>(values[at + i]) / step;
            whole[i] = (exact + kWhole) - kWhole;
            unfit += !(magnitude(whole[i]) < kLimit);
        }
        if (unfit) return false;
        for (size_t i = 0; i < m; ++i) out[at + i] = static_cast<int32_t>(whole[i]);
        compare_block(values + at, whole, m, step, bound, range, found);
    }
    return true;
}

template <class T>
void compare(const void *data, const int32_t *integers, size_t n, double step, double bound,
             const ValueRange &range, Compared &found) {
    const T *values = static_cast<const T *>(data);
    double whole[kBlock];
    for (size_t at = 0; at < n; at += kBlock) {
        const size_t m = n - at < kBlock ? n - at : kBlock;
        for (size_t i = 0; i < m; ++i) whole[i] = integers[at + i];
        compare_block(values + at, whole, m, step, bound, range, found);
    }
}

template <class T>
void restore(const int32_t *integers, size_t n, double step, const ValueRange &range, void *out) {
    T *values = static_cast<T *>(out);
    for (size_t i = 0; i < n; ++i) values[i] = Value<T>::stored(integers[i] * step, range);
}

// Extremes of the finite values, how many are not, and how many are negative zeros.
template <class T, class Bits> void extent(const void *data, size_t n, Extremes &found) {
    constexpr size_t lanes = 16;  // apart, since a compiler may not reorder comparisons of floats
    constexpr Bits sign = static_cast<Bits>(1) << (8 * sizeof(Bits) - 1);
    const T *values = static_cast<const T *>(data);
    const Bits *bits = static_cast<const Bits *>(data);
    const T infinity = static_cast<T>(1) / static_cast<T>(0);
    T lo[lanes], hi[lanes];
    Bits wild[lanes] = {}, zeros[lanes] = {};
    for (size_t i = 0; i < lanes; ++i) lo[i] = infinity, hi[i] = -infinity;
    found.wild = found.zeros = 0;
    for (size_t at = 0; at < n; at += kBlock) {
        const size_t m = n - at < kBlock ? n - at : kBlock;
        for (size_t start = at; start < at + m; start += lanes) {
            const size_t some = at + m - start < lanes ? at + m - start : lanes;
            for (size_t i = 0; i < some; ++i) {
                const T value = values[start + i];
                const bool finite = value - value == 0;
                const T low = finite ? value : infinity, high = finite ? value : -infinity;
                lo[i] = low < lo[i] ? low : lo[i];
                hi[i] = high > hi[i] ? high : hi[i];
                wild[i] += !finite;
                zeros[i] += bits[start + i] == sign;
            }
        }
        for (size_t i = 0; i < lanes; ++i) {
            found.wild += static_cast<int64_t>(wild[i]);
            found.zeros += static_cast<int64_t>(zeros[i]);
            wild[i] = zeros[i] = 0;
        }
    }
    for (size_t i = 1; i < lanes; ++i) {
        lo[0] = lo[i] < lo[0] ? lo[i] : lo[0];
        hi[0] = hi[i] > hi[0] ? hi[i] : hi[0];
    }
    found.lo = lo[0];
    found.hi = hi[0];
}

template <class T> T size_of(T x) { return x < 0 ? -x : x; }

constexpr int kPlaneWays = 5, kTrackWays = 3;

// Adds the misses of a row to the sums of the groups that its samples fall in.
template <class T>
void add_up(const T (*miss)[kBlock], int ways, size_t n, size_t first, const Sums &sums) {
    for (int way = 0; way < ways; ++way) {
        size_t at = 0;
        while (at < n) {
            const size_t group = (first + at) / kGroup;
            const size_t end = (group + 1) * kGroup - first < n ? (group + 1) * kGroup - first : n;
            int64_t sum = 0;
            for (; at < end; ++at) sum += miss[way][at];
            sums.of[way * sums.groups + group] += sum;
        }
    }
}

template <class T>
void plane_row(const int32_t *here, size_t stride, size_t n, size_t first,
               const Sums &sums) {
    T miss[kPlaneWays][kBlock];
    const int32_t *above = here - stride, *top = above - stride;
    for (size_t at = 0; at < n; at += kBlock) {
        const size_t m = n - at < kBlock ? n - at : kBlock;
        for (size_t i = 0; i < m; ++i) {
            const ptrdiff_t j = static_cast<ptrdiff_t>(at + i);
            const T value = here[j], west = here[j - 1], north = above[j];
            const T slope = west + north - above[j - 1];
            const T low = west < north ? west : north, high = west < north ? north : west;
            const T raised = slope < low ? low : slope;
            const T median = raised > high ? high : raised;
            const T bend = value - 2 * west + here[j - 2];
            const T bend_above = static_cast<T>(above[j]) - 2 * static_cast<T>(above[j - 1]) +
                                 above[j - 2];
            const T bend_top = static_cast<T>(top[j]) - 2 * static_cast<T>(top[j - 1]) + top[j - 2];
            miss[0][i] = size_of(value - median);
            miss[1][i] = size_of(value - slope);
            miss[2][i] = size_of(bend);
            miss[3][i] = size_of(bend - bend_above);
            miss[4][i] = size_of(bend - 2 * bend_above + bend_top);
        }
        add_up(miss, kPlaneWays, m, first + at, sums);
    }
}

template <class T>
void track_row(const int32_t *here, size_t n, size_t first, const Sums &sums) {
    T miss[kPlaneWays][kBlock];
    for (size_t at = 0; at < n; at += kBlock) {
        const size_t m = n - at < kBlock ? n - at : kBlock;
        for (size_t i = 0; i < m; ++i) {
            const ptrdiff_t j = static_cast<ptrdiff_t>(at + i);
            const T a = here[j], b = here[j - 1], c = here[j - 2], d = here[j - 3];
            miss[0][i] = size_of(a - b);
            miss[1][i] = size_of(a - 2 * b + c);
            miss[2][i] = size_of(a - 3 * b + 3 * c - d);
        }
        add_up(miss, kTrackWays, m, first + at, sums);
    }
}

template <class T>
void misses(const int32_t *planes, size_t n_planes, size_t rows, size_t columns, bool plane,
            const Sums &sums) {
    size_t first = 0;
    for (size_t p = 0; p < n_planes; ++p)
        for (size_t row = plane ? 2 : 0; row < rows; ++row) {
            const int32_t *here = planes + (p * rows + row) * columns;
            if (plane) {
                plane_row<T>(here + 2, columns, columns - 2, first, sums);
                first += columns - 2;
            } else {
                track_row<T>(here + 3, columns - 3, first, sums);
                first += columns - 3;
            }
        }
}

template <class T> constexpr Pass pass() { return {&quantise<T>, &compare<T>, &restore<T>}; }

constexpr MapKernel kTable{
    {pass<float>(), pass<double>(), pass<int8_t>(), pass<uint8_t>(), pass<int16_t>(),
     pass<uint16_t>(), pass<int32_t>(), pass<uint32_t>(), pass<int64_t>(), pass<uint64_t>()},
    {&extent<float, uint32_t>, &extent<double, uint64_t>},
    {&misses<int32_t>, &misses<int64_t>},
};

}  // namespace maps_kernel
}  // namespace
}  // namespace latrans
