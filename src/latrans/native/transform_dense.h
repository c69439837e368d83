// The network on sixteen places at once, and the class that it answers.
#pragma once
#include "transform_job.h"
#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#endif

namespace latrans {
namespace {

constexpr int kMostQuads = 64;  // of a layer's inputs; wider networks are plain

#if defined(LATRANS_AVX512)
using Vector = __m512i;
constexpr int kParts = 1;
inline Vector number(int32_t v) { return _mm512_set1_epi32(v); }
inline Vector plus(Vector a, Vector b) { return _mm512_add_epi32(a, b); }
inline Vector shifted(Vector v, int32_t by) { return _mm512_srav_epi32(v, number(by)); }
inline Vector bounded(Vector v, Vector lo, Vector hi) {
    return _mm512_min_epi32(_mm512_max_epi32(v, lo), hi);
}
inline Vector joined(Vector a, Vector b, Vector c, Vector d) {
    return _mm512_or_si512(_mm512_or_si512(a, _mm512_slli_epi32(b, 8)),
                           _mm512_or_si512(_mm512_slli_epi32(c, 16), _mm512_slli_epi32(d, 24)));
}
#elif defined(LATRANS_AVX2)
using Vector = __m256i;
constexpr int kParts = 2;
inline Vector number(int32_t v) { return _mm256_set1_epi32(v); }
inline Vector plus(Vector a, Vector b) { return _mm256_add_epi32(a, b); }
inline Vector shifted(Vector v, int32_t by) { return _mm256_srav_epi32(v, number(by)); }
inline Vector bounded(Vector v, Vector lo, Vector hi) {
    return _mm256_min_epi32(_mm256_max_epi32(v, lo), hi);
}
inline Vector joined(Vector a, Vector b, Vector c, Vector d) {
    return _mm256_or_si256(_mm256_or_si256(a, _mm256_slli_epi32(b, 8)),
                           _mm256_or_si256(_mm256_slli_epi32(c, 16), _mm256_slli_epi32(d, 24)));
}
inline Vector low_words(Vector v) { return _mm256_and_si256(v, number(0x00FF00FF)); }
inline Vector high_words(Vector v) { return _mm256_srli_epi16(v, 8); }
inline Vector products(Vector a, Vector b) { return _mm256_madd_epi16(a, b); }
#elif defined(__SSE2__) && !defined(LATRANS_SCALAR)
using Vector = __m128i;
constexpr int kParts = 4;
inline Vector number(int32_t v) { return _mm_set1_epi32(v); }
inline Vector plus(Vector a, Vector b) { return _mm_add_epi32(a, b); }
inline Vector shifted(Vector v, int32_t by) { return _mm_sra_epi32(v, _mm_cvtsi32_si128(by)); }
inline Vector chosen(Vector mask, Vector yes, Vector no) {
    return _mm_or_si128(_mm_and_si128(mask, yes), _mm_andnot_si128(mask, no));
}
inline Vector bounded(Vector v, Vector lo, Vector hi) {
    v = chosen(_mm_cmplt_epi32(v, lo), lo, v);
    return chosen(_mm_cmpgt_epi32(v, hi), hi, v);
}
inline Vector joined(Vector a, Vector b, Vector c, Vector d) {
    return _mm_or_si128(_mm_or_si128(a, _mm_slli_epi32(b, 8)),
                        _mm_or_si128(_mm_slli_epi32(c, 16), _mm_slli_epi32(d, 24)));
}
inline Vector low_words(Vector v) { return _mm_and_si128(v, number(0x00FF00FF)); }
inline Vector high_words(Vector v) { return _mm_srli_epi16(v, 8); }
inline Vector products(Vector a, Vector b) { return _mm_madd_epi16(a, b); }
#else
#define LATRANS_PLAIN_NETWORK
#endif

// Values in a row of work space of a plain network; 0 for others.
inline int widest(const TransformNetwork &network) {
#ifndef LATRANS_PLAIN_NETWORK
    if (!network.plain) return 0;
#endif
    int most = 4 * kQuads;
    for (int l = 0; l < network.n_layers; ++l)
        if (network.layers[l].n_out > most) most = network.layers[l].n_out;
    return most;
}

// Any network, or any machine.  Inputs (n_in, lanes) are in rows[0].
inline const int32_t *run_plain(const TransformNetwork &network, const int32_t *first_bias,
                                int32_t *const rows[2]) {
    int now = 0;
    for (int l = 0; l < network.n_layers; ++l, now ^= 1) {
        const TransformLayer &layer = network.layers[l];
        const int32_t *bias = l ? layer.bias : first_bias;
        for (int o = 0; o < layer.n_out; ++o) {
            int32_t sum[kTransformLanes];
            for (int i = 0; i < kTransformLanes; ++i) sum[i] = bias[o];
            for (int k = 0; k < layer.n_in; ++k) {
                const int32_t w = layer.weights[o * layer.n_in + k];
                const int32_t *x = rows[now] + k * kTransformLanes;
                for (int i = 0; i < kTransformLanes; ++i) sum[i] += w * x[i];
            }
            int32_t *to = rows[now ^ 1] + o * kTransformLanes;
            for (int i = 0; i < kTransformLanes; ++i) {
                const int32_t v = sum[i] >> layer.shift[o];
                to[i] = v < layer.lo ? layer.lo : v > layer.hi ? layer.hi : v;
            }
        }
    }
    return rows[now];
}

#ifndef LATRANS_PLAIN_NETWORK
// Outputs o to o + n - 1 of a layer for one part of the lanes; `x` (quads, lanes).  `known_quads` is
// how many of these there are, or 0: what the compiler knows it unrolls.
template <int n, int known_quads>
inline void block_of(const TransformLayer &layer, const int32_t *bias, int o, const uint32_t *x,
                     Vector *out) {
    const int n_quads = known_quads ? known_quads : layer.n_in / 4;
    Vector sum[n];
#pragma GCC unroll 16
    for (int i = 0; i < n; ++i) sum[i] = number(bias[o + i]);
#pragma GCC unroll 8
    for (int g = 0; g < n_quads; ++g) {
        Vector v;
        __builtin_memcpy(&v, x + g * kTransformLanes, sizeof v);
        const int at = o * n_quads + 4 * g;
#if defined(LATRANS_AVX512)
        const int32_t *w = layer.quads + at;
#pragma GCC unroll 16
        for (int i = 0; i < n; ++i)
            sum[i] = _mm512_dpbusd_epi32(sum[i], v, number(w[i / 4 * 4 * n_quads + i % 4]));
#else
        const int32_t *w = layer.pairs + 2 * at;
        const Vector even = low_words(v), odd = high_words(v);
#pragma GCC unroll 16
        for (int i = 0; i < n; ++i) {
            sum[i] = plus(sum[i], products(even, number(w[2 * i])));
            sum[i] = plus(sum[i], products(odd, number(w[2 * i + 1])));
        }
#endif
    }
    const Vector lo = number(layer.lo), hi = number(layer.hi);
#pragma GCC unroll 16
    for (int i = 0; i < n; ++i) out[i] = bounded(shifted(sum[i], layer.shift[o + i]), lo, hi);
}

template <int n>
inline void block(const TransformLayer &layer, const int32_t *bias, int o, const uint32_t *x,
                  Vector *out) {
    if (layer.n_in == 4 * kQuads)
        block_of<n, kQuads>(layer, bias, o, x, out);
    else if (layer.n_in == 32)
        block_of<n, 8>(layer, bias, o, x, out);
    else
        block_of<n, 0>(layer, bias, o, x, out);
}

template <int n>
inline void hidden(const TransformLayer &layer, const int32_t *bias, int o, const uint32_t *x,
                   uint32_t *to) {
    Vector out[n];
    block<n>(layer, bias, o, x, out);
#pragma GCC unroll 16
    for (int i = 0; i < n; i += 4) {
        const Vector quad = joined(out[i], out[i + 1], out[i + 2], out[i + 3]);
        __builtin_memcpy(to + (o + i) / 4 * kTransformLanes, &quad, sizeof quad);
    }
}

inline void run_bytes(const TransformNetwork &network, const int32_t *first_bias,
                      const uint32_t *inputs, int32_t *output) {
#if defined(LATRANS_AVX512)
    constexpr int large = 16;
#else
    constexpr int large = 4;
#endif
    alignas(64) uint32_t rows[2][kMostQuads * kTransformLanes];
    const uint32_t *x = inputs;
    for (int l = 0; l + 1 < network.n_layers; ++l) {
        const TransformLayer &layer = network.layers[l];
        const int32_t *bias = l ? layer.bias : first_bias;
        for (int part = 0; part < kParts; ++part) {
            const int at = part * kTransformLanes / kParts;
            int o = 0;
            for (; o + large <= layer.n_out; o += large)
                hidden<large>(layer, bias, o, x + at, rows[l & 1] + at);
            for (; o < layer.n_out; o += 4) hidden<4>(layer, bias, o, x + at, rows[l & 1] + at);
        }
        x = rows[l & 1];
    }
    const TransformLayer &last = network.layers[network.n_layers - 1];
    const int32_t *bias = network.n_layers > 1 ? last.bias : first_bias;
    for (int part = 0; part < kParts; ++part) {
        const int at = part * kTransformLanes / kParts;
        Vector out;
        block<1>(last, bias, 0, x + at, &out);
        __builtin_memcpy(output + at, &out, sizeof out);
    }
}
#endif

// Classes of sixteen places from their inputs (kQuads, lanes); `rows` are for plain networks.
inline void classes_of(const TransformBand &band, const uint32_t *inputs, int32_t *const rows[2],
                       int32_t *classes) {
    alignas(64) int32_t answers[kTransformLanes];
    const int32_t *output = answers;
    bool plain = band.network->plain;
#ifdef LATRANS_PLAIN_NETWORK
    plain = true;
#else
    if (!plain) run_bytes(*band.network, band.first_bias, inputs, answers);
#endif
    if (plain) {
        for (int g = 0; g < kQuads; ++g)
            for (int b = 0; b < 4; ++b)
                for (int i = 0; i < kTransformLanes; ++i)
                    rows[0][(4 * g + b) * kTransformLanes + i] =
                        static_cast<int32_t>(inputs[g * kTransformLanes + i] >> 8 * b & 255) - 128;
        output = run_plain(*band.network, band.first_bias, rows);
    }
    for (int i = 0; i < kTransformLanes; ++i) {
        const int32_t c = ((output[i] + 8) >> 4) + kClasses / 2;
        classes[i] = c < 0 ? 0 : c > kClasses - 1 ? kClasses - 1 : c;
    }
}

}  // namespace
}  // namespace latrans
