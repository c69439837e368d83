// The network on sixteen places at once, and the class that it answers.
#pragma once
#include "simd.h"
#include "transform/job.h"

namespace latrans {
namespace {
namespace transform_kernel {

constexpr int kMostQuads = 64;  // of a layer's inputs; wider networks are plain

using Places = V<int32_t>;
constexpr int kParts = kTransformLanes / width<int32_t>;  // vectors of a step's places

// Bytes 0 and 2 of each place, or 1 and 3, as two int16.
inline Places even_bytes(Places v) { return v & 0x00FF00FF; }
inline Places odd_bytes(Places v) { return even_bytes(bits<Places>(bits<V<uint32_t>>(v) >> 8)); }

// Values in a row of work space of a plain network; 0 for others.
inline int widest(const TransformNetwork &network) {
    if (!network.plain) return 0;
    int most = 4 * kQuads;
    for (int l = 0; l < network.n_layers; ++l)
        if (network.layers[l].n_out > most) most = network.layers[l].n_out;
    return most;
}

// Any network.  Inputs (n_in, lanes) are in rows[0].
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

// Outputs o to o + n - 1 of a layer for one part of the lanes; `x` (quads, lanes).  `known_quads`
// is how many of these there are, or 0: what the compiler knows it unrolls.
template <int n, int known_quads>
inline void block_of(const TransformLayer &layer, const int32_t *bias, int o, const uint32_t *x,
                     Places *out) {
    const int n_quads = known_quads ? known_quads : layer.n_in / 4;
    Places sum[n];
#pragma GCC unroll 16
    for (int i = 0; i < n; ++i) sum[i] = number(bias[o + i]);
#pragma GCC unroll 8
    for (int g = 0; g < n_quads; ++g) {
        const Places v = load(reinterpret_cast<const int32_t *>(x + g * kTransformLanes));
        const int at = o * n_quads + 4 * g;
#if defined(LATRANS_AVX512)
        const int32_t *w = layer.quads + at;
#pragma GCC unroll 16
        for (int i = 0; i < n; ++i)
            sum[i] = bits<Places>(
                _mm512_dpbusd_epi32(bits<__m512i>(sum[i]), bits<__m512i>(v),
                                    _mm512_set1_epi32(w[i / 4 * 4 * n_quads + i % 4])));
#else
        const int32_t *w = layer.pairs + 2 * at;
        const Places even = even_bytes(v), odd = odd_bytes(v);
#pragma GCC unroll 16
        for (int i = 0; i < n; ++i) {
            sum[i] = add_products(sum[i], even, number(w[2 * i]));
            sum[i] = add_products(sum[i], odd, number(w[2 * i + 1]));
        }
#endif
    }
    const Places lo = number(layer.lo), hi = number(layer.hi);
#pragma GCC unroll 16
    for (int i = 0; i < n; ++i) out[i] = clamp(sum[i] >> layer.shift[o + i], lo, hi);
}

template <int n>
inline void block(const TransformLayer &layer, const int32_t *bias, int o, const uint32_t *x,
                  Places *out) {
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
    Places out[n];
    block<n>(layer, bias, o, x, out);
#pragma GCC unroll 16
    for (int i = 0; i < n; i += 4) {
        // Outputs that go on are 0 to 255, a byte each.
        using U = V<uint32_t>;
        const auto byte = [&](int k) { return bits<U>(out[i + k]) << (8 * k); };
        store(to + (o + i) / 4 * kTransformLanes, byte(0) | byte(1) | byte(2) | byte(3));
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
        Places out;
        block<1>(last, bias, 0, x + at, &out);
        store(output + at, out);
    }
}

// Classes of sixteen places from their inputs (kQuads, lanes); `rows` are for plain networks.
inline void classes_of(const TransformBand &band, const uint32_t *inputs, int32_t *const rows[2],
                       int32_t *classes) {
    alignas(64) int32_t answers[kTransformLanes];
    const int32_t *output = answers;
    if (!band.network->plain) {
        run_bytes(*band.network, band.first_bias, inputs, answers);
    } else {
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

}  // namespace transform_kernel
}  // namespace
}  // namespace latrans
