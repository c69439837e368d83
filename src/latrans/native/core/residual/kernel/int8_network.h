// Networks whose values are bytes, for the 16 lanes of a step: the twin of a dense program.
//
// Four inputs of a lane share a cell and meet their four weights in one instruction that takes
// unsigned times signed bytes.  Signed values are stored 128 too large; what that adds is part of
// the constants.  All is exact: `Program.check` bounds sums below 2^24, and half of what a shift
// drops is at most 2^30.
#pragma once
#include "residual/kernel/step.h"
#include "simd.h"

namespace latrans {
namespace {

#if defined(LATRANS_AVX512)

// Four vectors of 32 bits, packed to bytes with instructions that stay within 128 bits: brings
// together what belongs to a lane.
inline __m512i gathered(__m512i packed) {
    return _mm512_shuffle_epi8(
        packed, _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7,
                                                     11, 15)));
}

// sums + products of four bytes each; one weight cell serves all lanes.  Written out because GCC 12
// neither reads the weights in place nor keeps many such sums where they are.
inline __m512i add_byte_products(__m512i sums, __m512i x, const int32_t &weights) {
    asm("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(sums) : "v"(x), "m"(weights));
    return sums;
}

// Outputs `first` and the n - 1 after it.  `weights` are those of the block.
template <int n, bool last>
void run_block(const ByteLayer &layer, int first, const int32_t *weights, const int32_t *cells,
               int32_t *out) {
    __m512i sums[n];
    unrolled<n>([&](auto o) { sums[o] = _mm512_set1_epi32(layer.bias[first + o]); });
    const int32_t *const end = cells + layer.n_cells * kLanes;
    do {
        const __m512i x = _mm512_load_si512(cells);
        unrolled<n>([&](auto o) { sums[o] = add_byte_products(sums[o], x, weights[o]); });
        weights += n;
        cells += kLanes;
    } while (cells != end);
    unrolled<n>([&](auto o) {
        sums[o] = _mm512_srav_epi32(sums[o], _mm512_set1_epi32(layer.shift[first + o]));
    });
    if constexpr (last) {
        unrolled<n>([&](auto o) {
            const __m512i low = _mm512_max_epi32(sums[o], _mm512_set1_epi32(layer.lo[first + o]));
            _mm512_store_si512(out + (first + o) * kLanes,
                               _mm512_min_epi32(low, _mm512_set1_epi32(layer.hi[first + o])));
        });
    } else {
        unrolled<n / kCell>([&](auto c) {
            constexpr int o = c * kCell;
            const __m512i words = _mm512_packs_epi32(sums[o], sums[o + 1]);
            const __m512i more = _mm512_packs_epi32(sums[o + 2], sums[o + 3]);
            __m512i found;
            if (layer.flip) {
                found = _mm512_max_epi8(_mm512_packs_epi16(words, more),
                                        _mm512_set1_epi32(static_cast<int>(layer.least)));
                found = _mm512_min_epi8(found, _mm512_set1_epi32(static_cast<int>(layer.most)));
                found = _mm512_xor_si512(found, _mm512_set1_epi32(static_cast<int>(layer.flip)));
            } else {
                found = _mm512_max_epu8(_mm512_packus_epi16(words, more),
                                        _mm512_set1_epi32(static_cast<int>(layer.least)));
                found = _mm512_min_epu8(found, _mm512_set1_epi32(static_cast<int>(layer.most)));
            }
            _mm512_store_si512(out + (first / kCell + c) * kLanes, gathered(found));
        });
    }
}

template <bool last>
void run_byte_layer(const ByteLayer &layer, const int32_t *cells, int32_t *out) {
    const int32_t *weights = layer.weights;
    int first = 0;
    const auto run = [&](auto n) {
        run_block<n, last>(layer, first, weights, cells, out);
        weights += layer.n_cells * n;
        first += n;
    };
    using std::integral_constant;
    while (layer.n_out - first >= 16) run(integral_constant<int, 16>{});
    switch (layer.n_out - first) {
        case 12: run(integral_constant<int, 12>{}); break;
        case 8: run(integral_constant<int, 8>{}); break;
        case 4: run(integral_constant<int, 4>{}); break;
        default: break;
    }
}

// Runs on the inputs in rows[0], which stay; returns the outputs.
inline const int32_t *run_bytes(const Network &network, int32_t *const rows[3]) {
    const int32_t *from = rows[0];
    int to = 1;
    for (int i = 0; i + 1 < network.n_layers; ++i, to ^= 3) {
        run_byte_layer<false>(network.byte_layers[i], from, rows[to]);
        from = rows[to];
    }
    run_byte_layer<true>(network.byte_layers[network.n_layers - 1], from, rows[to]);
    return rows[to];
}

#endif

}  // namespace
}  // namespace latrans
