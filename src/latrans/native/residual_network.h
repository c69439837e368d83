// The predictor's network, for the 16 lanes of a step: the twin of a dense program.
//
// `Program.check` bounds sums below 2^24; inputs of every layer fit int16 (Model checks it), so two
// of them share an int32 and meet their two weights in one multiplication.
#pragma once
#include "residual_simd.h"
#include "residual_step.h"

namespace latrans {
namespace {

// (n, kLanes) values become (ceil(n / 2), kLanes) pairs, in place.
inline void pair_up(int32_t *rows, int n) {
    using U = V<uint32_t>;
    for (int k = 0; 2 * k < n; ++k)
        for (int b = 0; b < kLanes; b += width<int32_t>) {
            const U first = bits<U>(load(rows + 2 * k * kLanes + b));
            U second = U{};
            if (2 * k + 1 < n) second = bits<U>(load(rows + (2 * k + 1) * kLanes + b));
            store(rows + k * kLanes + b, bits<V<int32_t>>((first & 0xFFFF) | second << 16));
        }
}

inline void run_layer(const DenseLayer &layer, const int32_t *pairs, int32_t *out) {
    const int n_pairs = (layer.n_in + 1) / 2;
    for (int b = 0; b < kLanes; b += width<int32_t>) {
        const int32_t *w = layer.weights;
        for (int first = 0; first < layer.n_out; first += kOutputBlock) {
            V<int32_t> sums[kOutputBlock];
            for (int o = 0; o < kOutputBlock; ++o) sums[o] = number(layer.bias[first + o]);
            for (int k = 0; k < n_pairs; ++k, w += kOutputBlock) {
                const V<int32_t> x = load(pairs + k * kLanes + b);
                for (int o = 0; o < kOutputBlock; ++o)
                    sums[o] = add_products(sums[o], x, number(w[o]));
            }
            for (int o = 0; o < kOutputBlock; ++o) {
                const int shift = layer.shift[first + o];
                const V<int32_t> q = (sums[o] + (INT32_C(1) << (shift - 1))) >> shift;
                store(out + (first + o) * kLanes + b,
                      clamp(q, number(layer.lo), number(layer.hi)));
            }
        }
    }
}

// Runs on the inputs in rows[0]; returns the outputs.
inline const int32_t *run_network(const Network &network, int32_t *const rows[2]) {
    int now = 0;
    for (int i = 0; i < network.n_layers; ++i, now ^= 1) {
        pair_up(rows[now], network.layers[i].n_in);
        run_layer(network.layers[i], rows[now], rows[now ^ 1]);
    }
    return rows[now];
}

}  // namespace
}  // namespace latrans
