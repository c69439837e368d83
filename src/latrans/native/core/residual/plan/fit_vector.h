// Sums of products of 16-bit numbers in vectors, by instruction set, and of columns, as many at a
// time as registers hold.
#pragma once
#include <cstddef>
#include <cstdint>

#include "residual/plan/fit_step.h"

#if defined(LATRANS_AVX512) || defined(LATRANS_AVX2) || defined(__SSE2__)
#include <immintrin.h>
#endif

namespace latrans {
namespace {
namespace fit_kernel {

#if defined(LATRANS_AVX512)

constexpr size_t kTile = 5, kLanes = 16;
using Vector = __m512i;

inline Vector load(const void *p) { return _mm512_loadu_si512(p); }
inline void store(void *p, Vector v) { _mm512_storeu_si512(p, v); }
inline Vector zero() { return _mm512_setzero_si512(); }
inline Vector every(int32_t v) { return _mm512_set1_epi32(v); }
inline Vector times(Vector a, Vector b) { return _mm512_mullo_epi16(a, b); }
inline Vector low(Vector a, Vector b) { return _mm512_unpacklo_epi16(a, b); }
inline Vector high(Vector a, Vector b) { return _mm512_unpackhi_epi16(a, b); }
inline Vector add_products(Vector sum, Vector a, Vector b) {
    // Not the intrinsic: around that GCC 12 copies every sum twice.
    __asm__("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(a), "vm"(b));
    return sum;
}
// Sums of `low` and `high` in the order of the rows.
inline void store_sums(int32_t *out, Vector low, Vector high) {
    const Vector first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
    const Vector second = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    store(out, _mm512_permutex2var_epi64(low, first, high));
    store(out + kLanes, _mm512_permutex2var_epi64(low, second, high));
}

#elif defined(LATRANS_AVX2)

constexpr size_t kTile = 3, kLanes = 8;
using Vector = __m256i;

inline Vector load(const void *p) {
    return _mm256_loadu_si256(static_cast<const __m256i *>(p));
}
inline void store(void *p, Vector v) { _mm256_storeu_si256(static_cast<__m256i *>(p), v); }
inline Vector zero() { return _mm256_setzero_si256(); }
inline Vector every(int32_t v) { return _mm256_set1_epi32(v); }
inline Vector times(Vector a, Vector b) { return _mm256_mullo_epi16(a, b); }
inline Vector low(Vector a, Vector b) { return _mm256_unpacklo_epi16(a, b); }
inline Vector high(Vector a, Vector b) { return _mm256_unpackhi_epi16(a, b); }
inline Vector add_products(Vector sum, Vector a, Vector b) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
}
inline void store_sums(int32_t *out, Vector low, Vector high) {
    store(out, _mm256_permute2x128_si256(low, high, 0x20));
    store(out + kLanes, _mm256_permute2x128_si256(low, high, 0x31));
}

#elif defined(__SSE2__)

constexpr size_t kTile = 3, kLanes = 4;
using Vector = __m128i;

inline Vector load(const void *p) { return _mm_loadu_si128(static_cast<const __m128i *>(p)); }
inline void store(void *p, Vector v) { _mm_storeu_si128(static_cast<__m128i *>(p), v); }
inline Vector zero() { return _mm_setzero_si128(); }
inline Vector every(int32_t v) { return _mm_set1_epi32(v); }
inline Vector times(Vector a, Vector b) { return _mm_mullo_epi16(a, b); }
inline Vector low(Vector a, Vector b) { return _mm_unpacklo_epi16(a, b); }
inline Vector high(Vector a, Vector b) { return _mm_unpackhi_epi16(a, b); }
inline Vector add_products(Vector sum, Vector a, Vector b) {
    return _mm_add_epi32(sum, _mm_madd_epi16(a, b));
}
inline void store_sums(int32_t *out, Vector low, Vector high) {
    store(out, low);
    store(out + kLanes, high);
}

#else

constexpr size_t kTile = 3, kLanes = 4;
struct Vector {
    int16_t v[8];
};
struct Sums {
    int32_t v[4];
};

inline Vector load(const void *p) {
    Vector v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}
inline void store(void *p, Vector v) { __builtin_memcpy(p, &v, sizeof v); }
inline Vector zero() { return Vector{}; }
// The low half comes first, whatever the order of bytes.
inline Vector every(int32_t v) {
    const auto first = static_cast<int16_t>(v), second = static_cast<int16_t>(v >> 16);
    return {{first, second, first, second, first, second, first, second}};
}
inline Vector times(Vector a, Vector b) {
    for (int i = 0; i < 8; ++i) a.v[i] = static_cast<int16_t>(a.v[i] * b.v[i]);
    return a;
}
inline Vector low(Vector a, Vector b) {
    return {{a.v[0], b.v[0], a.v[1], b.v[1], a.v[2], b.v[2], a.v[3], b.v[3]}};
}
inline Vector high(Vector a, Vector b) {
    return {{a.v[4], b.v[4], a.v[5], b.v[5], a.v[6], b.v[6], a.v[7], b.v[7]}};
}
inline Vector add_products(Vector sum, Vector a, Vector b) {
    Sums sums;
    __builtin_memcpy(&sums, &sum, sizeof sums);
    for (int i = 0; i < 4; ++i) {
        const uint32_t more = static_cast<uint32_t>(a.v[2 * i] * b.v[2 * i]) +
                              static_cast<uint32_t>(a.v[2 * i + 1] * b.v[2 * i + 1]);
        sums.v[i] = static_cast<int32_t>(static_cast<uint32_t>(sums.v[i]) + more);
    }
    return load(&sums);
}
inline void store_sums(int32_t *out, Vector low, Vector high) {
    store(out, low);
    store(out + kLanes, high);
}

#endif

// Sixteen numbers; several registers where these are shorter.
constexpr size_t kGroup = 16;
template <class T>
struct Sixteen {
    typedef T type __attribute__((vector_size(kGroup * sizeof(T))));
};
template <class T>
using Group = typename Sixteen<T>::type;
using Ints = Group<int32_t>;
using Counts = Group<uint32_t>;

template <class T>
inline Group<T> group(const T *values) {
    Group<T> v;
    __builtin_memcpy(&v, values, sizeof v);
    return v;
}
template <class T>
inline void put(T *values, Group<T> v) {
    __builtin_memcpy(values, &v, sizeof v);
}
template <class To, class From>
inline Group<To> convert(From v) {
    return __builtin_convertvector(v, Group<To>);
}
inline int64_t total(Ints v) {
    int64_t sum = 0;
    for (size_t i = 0; i < kGroup; ++i) sum += v[i];
    return sum;
}

// Values of a table of 64.
inline Ints look_up(const int32_t *table, Ints index) {
#if defined(LATRANS_AVX512)
    const Vector at = reinterpret_cast<Vector>(index);
    const Vector first = _mm512_permutex2var_epi32(load(table), at, load(table + 16));
    const Vector second = _mm512_permutex2var_epi32(load(table + 32), at, load(table + 48));
    const __mmask16 later = _mm512_test_epi32_mask(at, _mm512_set1_epi32(32));
    return reinterpret_cast<Ints>(_mm512_mask_blend_epi32(later, first, second));
#else
    Ints found;
    for (size_t i = 0; i < kGroup; ++i) found[i] = table[index[i]];
    return found;
#endif
}

template <class T>
inline T least(T a, T b) {
    return a < b ? a : b;
}
template <class T>
inline T most(T a, T b) {
    return a > b ? a : b;
}

constexpr size_t kWidth = 2 * kLanes;    // rows of a vector
constexpr size_t kRun = 16 * kWidth;  // rows that a sum in 32 bits certainly takes
static_assert(kRun <= kProductRows, "the planner has room for a run");

// Products of kTile columns with kTile scaled ones, over so many rows.  The indices are constants,
// which keeps all sums in registers.
template <size_t... K>
inline void multiply(const int16_t *const *columns, size_t begin, const int16_t *scaled, size_t n,
                     int32_t *sums, std::index_sequence<K...>) {
    Vector all[] = {load(sums + K * kLanes)...};
    const int16_t *a[kTile];
    for (size_t i = 0; i < kTile; ++i) a[i] = columns[i] + begin;
    for (size_t k = 0; k < n; k += kWidth)
        ((all[K] = add_products(all[K], load(a[K / kTile] + k),
                                load(scaled + K % kTile * kRun + k))),
         ...);
    (store(sums + K * kLanes, all[K]), ...);
}

constexpr size_t kTileSums = kTile * kTile * kLanes;

void clear(int32_t *sums, size_t n) {
    for (size_t i = 0; i < n; ++i) sums[i] = 0;
}

void flush(const int32_t *tiles, size_t n_columns, int64_t gain, int64_t *sums) {
    for (size_t i = 0; i < n_columns; i += kTile)
        for (size_t j = i; j < n_columns; j += kTile)
            for (size_t k = 0; k < kTile * kTile; ++k, tiles += kLanes) {
                int64_t sum = 0;
                for (size_t lane = 0; lane < kLanes; ++lane) sum += tiles[lane];
                sums[(i + k / kTile) * n_columns + j + k % kTile] += gain * sum;
            }
}

void products(const int16_t *const *columns, size_t n_columns, const int16_t *multipliers,
              size_t n_rows, int32_t largest, int64_t gain, const ProductSpace &space,
              int64_t *sums) {
    const size_t n_tiles = n_columns / kTile;
    const size_t n_sums = n_tiles * (n_tiles + 1) / 2 * kTileSums;
    // Every vector of rows adds two products to each sum.
    const size_t room = static_cast<size_t>(INT32_MAX / 2 / most(largest, 1)) * kWidth;
    size_t held = 0;
    clear(space.sums, n_sums);
    for (size_t begin = 0; begin < n_rows; begin += kRun) {
        const size_t n = least(kRun, n_rows - begin);
        if (held + n > room) {
            flush(space.sums, n_columns, gain, sums);
            clear(space.sums, n_sums);
            held = 0;
        }
        held += n;
        for (size_t k = 0; k < n; k += kWidth) {
            const Vector by = load(multipliers + begin + k);
            for (size_t i = 0; i < n_columns; ++i)
                store(space.scaled + i * kRun + k, times(load(columns[i] + begin + k), by));
        }
        int32_t *tile = space.sums;
        for (size_t i = 0; i < n_columns; i += kTile)
            for (size_t j = i; j < n_columns; j += kTile, tile += kTileSums)
                multiply(columns + i, begin, space.scaled + j * kRun, n, tile,
                         std::make_index_sequence<kTile * kTile>());
    }
    flush(space.sums, n_columns, gain, sums);
}

}  // namespace fit_kernel
}  // namespace
}  // namespace latrans
