// Vectors of lanes, as wide as the instruction set that is compiled for.  The translation unit
// names the set (LATRANS_AVX2, LATRANS_AVX512, see cpu.h; none of them for what every machine has),
// for the compiler's own macros do not follow its pragma.  Without vector extensions one lane is a
// vector.
#pragma once
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>
#if defined(__x86_64__) && defined(__GNUC__)
#pragma GCC diagnostic push
// Intrinsics of GCC 12 hand on registers that they leave undefined.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#endif

#if defined(__GNUC__)
#define LATRANS_INLINE inline __attribute__((always_inline))
#else
#define LATRANS_INLINE inline
#endif

namespace latrans {
namespace {

template <class T>
using Unsigned = std::make_unsigned_t<T>;

// Calls f(0) .. f(n - 1), each with its number as a constant.
template <int... k, class F>
LATRANS_INLINE void unrolled(std::integer_sequence<int, k...>, F &&f) {
    (f(std::integral_constant<int, k>{}), ...);
}
template <int n, class F>
LATRANS_INLINE void unrolled(F &&f) {
    unrolled(std::make_integer_sequence<int, n>{}, static_cast<F &&>(f));
}

#if defined(__GNUC__) && !defined(LATRANS_SCALAR)

#if defined(LATRANS_AVX512)
constexpr int kBytes = 64;
#elif defined(LATRANS_AVX2)
constexpr int kBytes = 32;
#else
constexpr int kBytes = 16;
#endif

template <class T, int n>
struct Lane {
    typedef T vector __attribute__((vector_size(n * sizeof(T))));
    typedef T memory __attribute__((vector_size(n * sizeof(T)), aligned(alignof(T)), may_alias));
};
template <class T>
constexpr int width = kBytes / static_cast<int>(sizeof(T));
template <class T, int n = width<T>>
using V = typename Lane<T, n>::vector;

template <class T>
V<T> load(const T *p) {
    return *reinterpret_cast<const typename Lane<T, width<T>>::memory *>(p);
}
template <class T>
void store(T *p, V<T> v) {
    *reinterpret_cast<typename Lane<T, width<T>>::memory *>(p) = v;
}
template <class To, int n, class Vector>
V<To, n> convert(Vector v) {
    return __builtin_convertvector(v, V<To, n>);
}
template <class T>
V<int32_t, width<T>> load32(const int32_t *p) {
    return *reinterpret_cast<const typename Lane<int32_t, width<T>>::memory *>(p);
}
template <class T>
void store32(int32_t *p, V<T> v) {
    *reinterpret_cast<typename Lane<int32_t, width<T>>::memory *>(p) =
        convert<int32_t, width<T>>(v);
}
template <class T>
V<T> number(T value) {
    return V<T>{} + value;
}
// Bits of a vector, seen as another type.
template <class To, class Vector>
To bits(Vector v) {
    return reinterpret_cast<To>(v);
}
template <class T, class Mask>
bool any(Mask mask) {
#if defined(LATRANS_AVX512)
    return _mm512_test_epi32_mask(bits<__m512i>(mask), bits<__m512i>(mask)) != 0;
#elif defined(LATRANS_AVX2)
    return !_mm256_testz_si256(bits<__m256i>(mask), bits<__m256i>(mask));
#else
    int64_t words[kBytes / 8], all = 0;
    __builtin_memcpy(words, &mask, kBytes);
    for (int64_t word : words) all |= word;
    return all != 0;
#endif
}

#else

template <class T>
constexpr int width = 1;
template <class T, int n = 1>
using V = T;

template <class T>
T load(const T *p) {
    return *p;
}
template <class T>
void store(T *p, T v) {
    *p = v;
}
template <class To, int n, class From>
To convert(From v) {
    return static_cast<To>(v);
}
template <class T>
int32_t load32(const int32_t *p) {
    return *p;
}
template <class T>
void store32(int32_t *p, T v) {
    *p = static_cast<int32_t>(v);
}
template <class T>
T number(T value) {
    return value;
}
template <class To, class From>
To bits(From v) {
    static_assert(sizeof(To) == sizeof(From), "same bits");
    To to;
    const char *from = reinterpret_cast<const char *>(&v);
    for (size_t i = 0; i < sizeof(To); ++i) reinterpret_cast<char *>(&to)[i] = from[i];
    return to;
}
template <class T, class Mask>
bool any(Mask mask) {
    return mask;
}

#endif

template <class Mask, class Vector>
Vector select(Mask mask, Vector yes, Vector no) {
    return mask ? yes : no;
}
template <class Vector>
Vector least(Vector a, Vector b) {
    return a < b ? a : b;
}
template <class Vector>
Vector most(Vector a, Vector b) {
    return a > b ? a : b;
}
template <class Vector>
Vector clamp(Vector v, Vector lo, Vector hi) {
    return most(lo, least(v, hi));
}
template <class Vector>
Vector magnitude(Vector v) {
    return v < 0 ? -v : v;
}

// table[index] for 64 entries; higher bits of the index are ignored.
template <class T>
V<T> look_up(const int32_t *table, V<T> index) {
#if defined(LATRANS_AVX512)
    // Two registers at a time; the upper halves of 64-bit lanes find nonsense that is cut off.
    const auto i = bits<V<int32_t>>(index);
    const auto low = __builtin_shuffle(load(table), load(table + 16), i);
    const auto high = __builtin_shuffle(load(table + 32), load(table + 48), i);
    const auto found = bits<V<T>>(select((i & 32) != 0, high, low));
    return sizeof(T) == 4 ? found : found & INT32_MAX;
#else
#if defined(LATRANS_AVX2)
    if constexpr (sizeof(T) == 4)
        return bits<V<T>>(_mm256_i32gather_epi32(table, bits<__m256i>(index & 63), 4));
#endif
    alignas(64) T lanes[width<T>];
    store(lanes, index);
    for (int i = 0; i < width<T>; ++i) lanes[i] = table[lanes[i] & 63];
    return load(lanes);
#endif
}

// Product of factors that fit 32 bits.
template <class T>
V<T> product(V<T> a, V<T> b) {
    if constexpr (sizeof(T) == 8) {
#if defined(LATRANS_AVX512)
        return bits<V<T>>(_mm512_mul_epi32(bits<__m512i>(a), bits<__m512i>(b)));
#elif defined(LATRANS_AVX2)
        return bits<V<T>>(_mm256_mul_epi32(bits<__m256i>(a), bits<__m256i>(b)));
#endif
    }
    return a * b;
}

// The low half of a and above it that of b, in each lane.
inline V<int32_t> pair_of(V<int32_t> a, V<int32_t> b) {
    using U = V<uint32_t>;
    return bits<V<int32_t>>((bits<U>(a) & 0xFFFF) | bits<U>(b) << 16);
}

// sum + x.low * w.low + x.high * w.high modulo 2^32, where low and high are the int16 halves of
// each lane.
inline V<int32_t> add_products(V<int32_t> sum, V<int32_t> x, V<int32_t> w) {
#if defined(LATRANS_AVX512)
    return bits<V<int32_t>>(
        _mm512_dpwssd_epi32(bits<__m512i>(sum), bits<__m512i>(x), bits<__m512i>(w)));
#else
    using U = V<uint32_t>;
#if defined(LATRANS_SCALAR) || !defined(__x86_64__) || !defined(__GNUC__)
    const auto low = [](V<int32_t> v) { return bits<V<int32_t>>(bits<U>(v) << 16) >> 16; };
    const U products = bits<U>(low(x) * low(w)) + bits<U>((x >> 16) * (w >> 16));
#elif defined(LATRANS_AVX2)
    const U products = bits<U>(_mm256_madd_epi16(bits<__m256i>(x), bits<__m256i>(w)));
#else
    const U products = bits<U>(_mm_madd_epi16(bits<__m128i>(x), bits<__m128i>(w)));
#endif
    return bits<V<int32_t>>(bits<U>(sum) + products);
#endif
}

// sum + x * y, where x is 0 .. 32767 and y fits int16.
template <class T>
V<T> add_small(V<T> sum, V<T> x, V<T> y) {
    if constexpr (sizeof(T) == 4)
        return add_products(sum, x, y);
    else
        return sum + product<T>(x, y);
}

// counts + how often each half of x equals that of y, in the halves.
inline V<int32_t> count_equal_halves(V<int32_t> counts, V<int32_t> x, V<int32_t> y) {
#if defined(LATRANS_SCALAR) || !defined(__x86_64__) || !defined(__GNUC__)
    const auto d = bits<V<uint32_t>>(x) ^ bits<V<uint32_t>>(y);
    return counts + select((d & 0xFFFF) == 0, number(1), V<int32_t>{}) +
           select((d >> 16) == 0, number(1 << 16), V<int32_t>{});
#elif defined(LATRANS_AVX512)
    const __m512i c = bits<__m512i>(counts);
    return bits<V<int32_t>>(
        _mm512_mask_sub_epi16(c, _mm512_cmpeq_epi16_mask(bits<__m512i>(x), bits<__m512i>(y)), c,
                              _mm512_set1_epi16(-1)));
#elif defined(LATRANS_AVX2)
    return bits<V<int32_t>>(
        _mm256_sub_epi16(bits<__m256i>(counts),
                         _mm256_cmpeq_epi16(bits<__m256i>(x), bits<__m256i>(y))));
#else
    return bits<V<int32_t>>(_mm_sub_epi16(bits<__m128i>(counts),
                                          _mm_cmpeq_epi16(bits<__m128i>(x), bits<__m128i>(y))));
#endif
}

}  // namespace
}  // namespace latrans
