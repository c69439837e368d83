// Rows of planes into skewed canvases and back, in blocks that stay in registers.
#pragma once
#include <type_traits>

#include "residual/kernel/stretch.h"

namespace latrans {
namespace {

constexpr int kSide = 4;       // of a block
constexpr int kBlocksNear = 16;  // blocks of a lane whose cells stay in the nearest cache

#if defined(__GNUC__) && !defined(__clang__) && !defined(LATRANS_SCALAR)

template <class T>
struct Quad {
    typedef T vector __attribute__((vector_size(kSide * sizeof(T))));
    typedef vector memory __attribute__((aligned(alignof(T)), may_alias));
};

template <class T>
void transpose(typename Quad<T>::vector (&q)[kSide]) {
    using Q = typename Quad<T>::vector;
    using I = decltype(Q{} < Q{});
    const I low = {0, 4, 1, 5}, high = {2, 6, 3, 7}, even = {0, 1, 4, 5}, odd = {2, 3, 6, 7};
    const Q a = __builtin_shuffle(q[0], q[1], low), b = __builtin_shuffle(q[0], q[1], high);
    const Q c = __builtin_shuffle(q[2], q[3], low), d = __builtin_shuffle(q[2], q[3], high);
    q[0] = __builtin_shuffle(a, c, even);
    q[1] = __builtin_shuffle(a, c, odd);
    q[2] = __builtin_shuffle(b, d, even);
    q[3] = __builtin_shuffle(b, d, odd);
}

// kSide rows from `from` on, `from_stride` apart, become columns.
template <class To, class From>
void turn(To *to, ptrdiff_t to_stride, const From *from, ptrdiff_t from_stride, To less) {
    typename Quad<To>::vector q[kSide];
    for (int i = 0; i < kSide; ++i) {
        const typename Quad<From>::vector row =
            *reinterpret_cast<const typename Quad<From>::memory *>(from + i * from_stride);
        // Narrow planes refer to samples that may lie anywhere: sums modulo the type.
        using U = std::make_unsigned_t<To>;
        using Unsigned = typename Quad<U>::vector;
        const auto wide = __builtin_convertvector(row, typename Quad<To>::vector);
        q[i] = reinterpret_cast<typename Quad<To>::vector>(reinterpret_cast<Unsigned>(wide) -
                                                           static_cast<U>(less));
    }
    transpose<To>(q);
    for (int i = 0; i < kSide; ++i)
        *reinterpret_cast<typename Quad<To>::memory *>(to + i * to_stride) = q[i];
}

#else

template <class To, class From>
void turn(To *to, ptrdiff_t to_stride, const From *from, ptrdiff_t from_stride, To less) {
    for (int i = 0; i < kSide; ++i)
        for (int k = 0; k < kSide; ++k)
            to[k * to_stride + i] = static_cast<To>(
                static_cast<std::make_unsigned_t<To>>(from[i * from_stride + k]) -
                static_cast<std::make_unsigned_t<To>>(less));
}

#endif

// Calls block(lane, step) for blocks of kSide lanes and steps that all exist, and single(lane,
// column) for all other samples.
template <class Block, class Single>
void each_block(const Extent &e, Block &&block, Single &&single) {
    const int64_t lag = e.plane ? kDelay : 0;
    const auto length = [&](int lane) { return e.plane ? e.columns : lane_length(e, lane); };
    const int whole = e.n_lanes / kSide * kSide;
    // Lanes of a track only get shorter.
    int64_t most = 0;
    const auto blocks = [&](int lane) {
        return larger(0, length(lane + kSide - 1) - (kSide - 1) * lag) / kSide;
    };
    for (int lane = 0; lane < whole; lane += kSide) most = larger(most, blocks(lane));
    for (int64_t near = 0; near < most; near += kBlocksNear)
        for (int lane = 0; lane < whole; lane += kSide)
            for (int64_t k = near, end = lesser(near + kBlocksNear, blocks(lane)); k < end; ++k)
                block(lane, lag * (lane + kSide - 1) + k * kSide);
    for (int lane = 0; lane < e.n_lanes; ++lane) {
        const int group = lane / kSide * kSide;
        const int64_t before = lane < whole ? lag * (kSide - 1 - (lane - group)) : 0;
        const int64_t after = lane < whole ? before + blocks(group) * kSide : 0;
        for (int64_t column = 0; column < lesser(before, length(lane)); ++column)
            single(lane, column);
        for (int64_t column = after; column < length(lane); ++column) single(lane, column);
    }
}

template <class T, class From>
void enter(const Strip<T> &strip, T *canvas, const From *rows, int64_t origin) {
    const Extent &e = strip.extent;
    const int64_t lag = e.plane ? kDelay : 0;
    const auto less = static_cast<T>(origin);
    each_block(
        e,
        [&](int lane, int64_t step) {
            turn<T, From>(canvas + step * strip.stride + lane, strip.stride,
                          rows + lane * e.columns + step - lag * lane, e.columns - lag, less);
        },
        [&](int lane, int64_t column) {
            canvas[(column + lag * lane) * strip.stride + lane] =
                static_cast<T>(int64_t{rows[lane * e.columns + column]} - origin);
        });
}

template <class T, class To>
void leave(const Strip<T> &strip, const T *canvas, To *rows, int64_t origin) {
    const Extent &e = strip.extent;
    const int64_t lag = e.plane ? kDelay : 0;
    const auto less = static_cast<To>(-origin);
    each_block(
        e,
        [&](int lane, int64_t step) {
            turn<To, T>(rows + lane * e.columns + step - lag * lane, e.columns - lag,
                        canvas + step * strip.stride + lane, strip.stride, less);
        },
        [&](int lane, int64_t column) {
            rows[lane * e.columns + column] = static_cast<To>(
                int64_t{canvas[(column + lag * lane) * strip.stride + lane]} + origin);
        });
}

template <class T>
void leave_whole(const Strip<T> &strip, const T *canvas, int64_t *rows) {
    leave<T, int64_t>(strip, canvas, rows, 0);
}

template <class From>
bool within(const From *values, int64_t n, int64_t lo, int64_t hi) {
    const auto largest = static_cast<uint64_t>(hi - lo);
    uint64_t beyond = 0;
    for (int64_t i = 0; i < n; ++i)
        beyond |= static_cast<uint64_t>(values[i]) - static_cast<uint64_t>(lo) > largest;
    return !beyond;
}

}  // namespace
}  // namespace latrans
