// The predictor's network, for the 16 lanes of a step: the twin of a dense program.
//
// `Program.check` bounds sums below 2^24; inputs of every layer fit int16 (Model checks it), so two
// of them share an int32 and meet their two weights in one multiplication.
#pragma once
#include "residual/classes.h"
#include "residual/kernel/int8_network.h"
#include "residual/kernel/step.h"
#include "simd.h"

namespace latrans {
namespace {

// (n, kLanes) values become (ceil(n / 2), kLanes) pairs, in place.
inline void pair_up(int32_t *rows, int n) {
    for (int k = 0; 2 * k < n; ++k)
        for (int b = 0; b < kLanes; b += width<int32_t>) {
            V<int32_t> second = V<int32_t>{};
            if (2 * k + 1 < n) second = load(rows + (2 * k + 1) * kLanes + b);
            store(rows + k * kLanes + b, pair_of(load(rows + 2 * k * kLanes + b), second));
        }
}

inline int32_t clamp_number(int32_t v, int32_t limit) {
    return v < -limit ? -limit : v > limit ? limit : v;
}

// All lanes side by side, and as many outputs as registers hold then.  The outputs of a network
// are `limited`.
inline void run_layer(const DenseLayer &layer, const int32_t *pairs, int32_t *out,
                      bool limited = false) {
    constexpr int n_parts = kLanes / width<int32_t>;
    constexpr int n_sums = n_parts == 1 ? kOutputBlock : n_parts == 2 ? 4 : 2;
    const int n_pairs = (layer.n_in + 1) / 2;
    for (int first = 0; first < layer.n_out; first += n_sums) {
        const int32_t *w = layer.weights + first / kOutputBlock * kOutputBlock * n_pairs +
                           first % kOutputBlock;
        V<int32_t> sums[n_sums][n_parts];
        unrolled<n_sums>([&](auto o) {
            unrolled<n_parts>([&](auto i) { sums[o][i] = number(layer.bias[first + o]); });
        });
        for (int k = 0; k < n_pairs; ++k, w += kOutputBlock) {
            V<int32_t> x[n_parts];
            unrolled<n_parts>([&](auto i) {
                x[i] = load(pairs + k * kLanes + i * width<int32_t>);
            });
            unrolled<n_sums>([&](auto o) {
                const V<int32_t> weight = number(w[o]);
                unrolled<n_parts>([&](auto i) {
                    sums[o][i] = add_products(sums[o][i], x[i], weight);
                });
            });
        }
        unrolled<n_sums>([&](auto o) {
            const int shift = layer.shift[first + o];
            int32_t lo = layer.lo, hi = layer.hi;
            if (limited) {
                const int32_t limit = output_limit(first + o);
                lo = clamp_number(lo, limit);
                hi = clamp_number(hi, limit);
            }
            unrolled<n_parts>([&](auto i) {
                const V<int32_t> q = (sums[o][i] + (INT32_C(1) << (shift - 1))) >> shift;
                store(out + (first + o) * kLanes + i * width<int32_t>,
                      clamp(q, number(lo), number(hi)));
            });
        });
    }
}

// Bytes, 128 too large, as pairs.
inline void pair_bytes(const int32_t *cells, int n, int32_t *pairs) {
    for (int k = 0; 4 * k < n; ++k)
        for (int b = 0; b < kLanes; b += width<int32_t>) {
            using U = V<uint32_t>;
            const U cell = bits<U>(load(cells + k * kLanes + b));
            const auto byte = [&](int shift) {
                return bits<V<int32_t>>((cell >> shift) & 255) - 128;
            };
            store(pairs + 2 * k * kLanes + b, pair_of(byte(0), byte(8)));
            store(pairs + (2 * k + 1) * kLanes + b, pair_of(byte(16), byte(24)));
        }
}

// Runs on the inputs in rows[0], which stay; returns the outputs, limited as `place` wants them.
inline const int32_t *run_network(const Network &network, int32_t *const rows[3]) {
    const int32_t *from = rows[0];
    int to = 1;
#if defined(LATRANS_AVX512)
    if (network.byte_layers) return run_bytes(network, rows);
    pair_bytes(rows[0], network.layers[0].n_in, rows[2]);
    from = rows[2];
#endif
    for (int i = 0; i < network.n_layers; ++i, to ^= 3) {
        if (i > 0) pair_up(rows[to ^ 3], network.layers[i].n_in);
        run_layer(network.layers[i], from, rows[to], i + 1 == network.n_layers);
        from = rows[to];
    }
    return from;
}

}  // namespace
}  // namespace latrans
