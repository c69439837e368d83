// Classes of a strip: places of a step, then tokens of its samples.
#pragma once
#include "residual/classes.h"
#include "residual/kernel/canvas_update.h"
#include "residual/kernel/fixed_point.h"
#include "residual/kernel/predict.h"

namespace latrans {
namespace {

// `tokenise` of residual/classes.h on vectors.
struct Tokens {
    alignas(64) int32_t tokens[kLanes], lengths[kLanes], raw[kLanes];
};

// Position of the highest bit of values from 1 on.
inline V<uint32_t> highest_bit(V<uint32_t> value) {
    // Without the bit below it no rounding reaches the next power of two.
    const auto real = convert<float, width<int32_t>>(value & ~(value >> 1));
    return (bits<V<uint32_t>>(real) >> 23) - 127;
}

// Offsets are those of coded values from their centres.
template <class T>
void tokenise_step(const Answer<T> &a, const T *coded, Tokens &found) {
    using U = V<uint32_t>;
    using W = V<int32_t>;
    for (int b = 0; b < kLanes; b += width<int32_t>) {
        W distance;
        if constexpr (sizeof(T) == 4) {
            distance = load(coded + b) - load(a.centre + b);
        } else {
            alignas(64) int32_t lanes[width<int32_t>];
            for (int i = 0; i < width<int32_t>; ++i)
                lanes[i] = static_cast<int32_t>(static_cast<uint32_t>(coded[b + i]) -
                                                static_cast<uint32_t>(a.centre[b + i]));
            distance = load(lanes);
        }
        const W flip = load(a.flip + b), low_bits = load(a.low_bits + b);
        const U offset = select(flip != 0, U{} - bits<U>(distance), bits<U>(distance));
        const W quotient = bits<W>(offset) >> low_bits;
        const U zigzag = bits<U>(quotient) << 1 ^ bits<U>(quotient >> 31);
        const U exponent = highest_bit(zigzag | 1);
        const auto direct = zigzag < kDirect;
        const U code = (exponent - 5) * 4 + (zigzag >> ((exponent - 1) & 31) & 1) * 2 +
                       (zigzag & 1) + kDirect;
        const U n_middle = select(direct, U{}, exponent - 2);
        const U middle = (zigzag >> 1) & ((number<uint32_t>(1) << n_middle) - 1);
        const U low = offset & ((number<uint32_t>(1) << bits<U>(low_bits)) - 1);
        store(found.tokens + b, bits<W>(select(direct, zigzag, code)));
        store(found.lengths + b, bits<W>(n_middle) + low_bits);
        store(found.raw + b, bits<W>(middle << bits<U>(low_bits) | low));
    }
}

// Lanes first .. last as the next bytes; more may be written behind them.
inline void store_bytes(uint8_t *to, const int32_t *values, int first, int last) {
    if (first == 0) {
        for (int lane = 0; lane < kLanes; ++lane) to[lane] = static_cast<uint8_t>(values[lane]);
    } else {
        for (int lane = first; lane < last; ++lane)
            to[lane - first] = static_cast<uint8_t>(values[lane]);
    }
}

// Raw bits of the lanes that have any.
inline uint16_t store_raw(ClassBuffer &sink, const Tokens &found, int first, int last) {
#if defined(LATRANS_AVX512)
    const __m512i length = _mm512_load_si512(found.lengths), raw = _mm512_load_si512(found.raw);
    const auto active = static_cast<__mmask16>((1u << last) - (1u << first));
    const __mmask16 some = _mm512_mask_cmpgt_epi32_mask(active, length, _mm512_setzero_si512());
    const __mmask16 longer = _mm512_mask_cmpgt_epi32_mask(some, length, _mm512_set1_epi32(16));
    _mm_storeu_si128(reinterpret_cast<__m128i *>(sink.lengths + sink.n_lengths),
                     _mm512_cvtepi32_epi8(_mm512_maskz_compress_epi32(some, length)));
    _mm256_storeu_si256(reinterpret_cast<__m256i *>(sink.low + sink.n_lengths),
                        _mm512_cvtepi32_epi16(_mm512_maskz_compress_epi32(some, raw)));
    _mm256_storeu_si256(
        reinterpret_cast<__m256i *>(sink.high + sink.n_high),
        _mm512_cvtepi32_epi16(_mm512_maskz_compress_epi32(longer, _mm512_srli_epi32(raw, 16))));
    sink.n_lengths += static_cast<unsigned>(__builtin_popcount(some));
    sink.n_high += static_cast<unsigned>(__builtin_popcount(longer));
    return some;
#else
    unsigned which = 0;
    for (int lane = first; lane < last; ++lane) {
        const int length = found.lengths[lane];
        if (!length) continue;
        const auto raw = static_cast<uint32_t>(found.raw[lane]);
        which |= 1u << lane;
        sink.lengths[sink.n_lengths] = static_cast<uint8_t>(length);
        sink.low[sink.n_lengths++] = static_cast<uint16_t>(raw);
        sink.high[sink.n_high] = static_cast<uint16_t>(raw >> 16);
        sink.n_high += length > 16;
    }
    return static_cast<uint16_t>(which);
#endif
}

// Coded values of a step's samples.  With a step they replace the samples by what comes back;
// false where that is out of range.
template <class T>
bool code_samples(const Strip<T> &strip, int64_t step, int first, int last, T *coded) {
    const Scene<T> &scene = *strip.scene;
    const Answer<T> &a = *strip.answer;
    T *samples = strip.samples + step * strip.stride;
    if (scene.step == 1) {
        for (int b = 0; b < kLanes; b += width<T>) store(coded + b, load(samples + b));
        return true;
    }
    // Quotients by a reciprocal a little too large: exact, for numerators that are not negative
    // and have less bits than a double has left.
    constexpr int kUp = sizeof(T) == 4 ? 18 : 36;
    const double reciprocal = (1 + 1e-15) / scene.step;
    const T up = static_cast<T>((T{scene.step} << kUp) + scene.step / 2);
    bool inside = true;
    for (int lane = first; lane < last; ++lane) {
        const auto numerator = static_cast<double>(samples[lane] - a.anchor[lane] + up);
        coded[lane] = static_cast<T>(numerator * reciprocal) - (T{1} << kUp);
        const T back = a.anchor[lane] + coded[lane] * scene.step;
        inside &= back >= 0 && back <= scene.largest;
        samples[lane] = back;
    }
    return inside;
}

// Tokens and classes of a step's samples behind those that are there.
template <class T>
void store_tokens(ClassBuffer &into, const Answer<T> &a, int first, int last,
                  const Tokens &found) {
    store_bytes(into.tokens + into.n, found.tokens, first, last);
    store_bytes(into.tables + into.n, a.table, first, last);
    into.n += static_cast<size_t>(last - first);
    bool has_raw = false;
    for (int b = 0; b < kLanes; b += width<int32_t>)
        has_raw |= any<int32_t>(load(found.lengths + b) > 0);
    into.raw[into.n_steps++] = has_raw ? store_raw(into, found, first, last) : 0;
}

template <class T>
void store_classes(ClassBuffer &into, const Answer<T> &a, const T *coded, int first, int last,
                   Tokens &found) {
    tokenise_step(a, coded, found);
    store_tokens(into, a, first, last, found);
}

template <class T>
Outcome classify(const Strip<T> &strip, ClassBuffer &sink) {
    const Answer<T> &a = *strip.answer;
    ClassBuffer into = sink;
    Tokens found{};
    alignas(64) T coded[kLanes] = {};
    const Outcome outcome = each_step(strip, [&](int64_t step, int first, int last) {
        if (!latrans::step(*strip.scene, step * strip.stride, first, last, *strip.answer))
            return Outcome::kTooNarrow;
        if (!code_samples(strip, step, first, last, coded)) return Outcome::kOutside;
        put(strip, step, first, last);
        store_classes(into, a, coded, first, last, found);
        return Outcome::kDone;
    });
    if (outcome == Outcome::kDone) sink = into;
    return outcome;
}

inline void take(const Extent &extent, const ImportedRows &rows, ClassBuffer &sink) {
    Answer<int32_t> a{};  // offsets come mirrored, from where samples are expected
    ClassBuffer into = sink;
    Tokens found{};
    alignas(64) int32_t offsets[kLanes] = {};
    const int64_t apart = extent.columns - (extent.plane ? kDelay : 0);  // of lanes in a step
    for (int64_t step = first_step(extent), end = end_step(extent); step < end;) {
        const Stretch stretch = stretch_at(extent, step);
        const int first = stretch.first, last = stretch.last;
        for (; step < stretch.end; ++step) {
            for (int lane = first; lane < last; ++lane) {
                const int64_t at = step + lane * apart;
                offsets[lane] = rows.offsets[at];
                a.low_bits[lane] = rows.low_bits[at];
                a.table[lane] = rows.tables[at];
            }
            store_classes(into, a, offsets, first, last, found);
        }
    }
    sink = into;
}

}  // namespace
}  // namespace latrans
