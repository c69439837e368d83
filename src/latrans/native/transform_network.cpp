// Two 16-bit inputs share an int32 and meet their two weights in one multiplication, where the
// machine has such an instruction.
#include "transform_network.h"

#include <algorithm>

#if defined(__x86_64__) && defined(__GNUC__)
#define LATRANS_X86 1
#include <immintrin.h>
#endif

namespace latrans {
namespace {

using Layer = DenseNetwork::Layer;
using Sums = void (*)(const Layer &, const int32_t *x, int32_t *sums);

constexpr size_t kBlock = 4;  // outputs that share a load of inputs

void plain_sums(const Layer &layer, const int32_t *x, int32_t *sums) {
    std::fill_n(sums, layer.n_out * kItems, 0);
    for (size_t o = 0; o < layer.n_out; ++o)
        for (size_t k = 0; k < layer.n_in; ++k) {
            const int32_t w = layer.weight[o * layer.n_in + k];
            for (int i = 0; i < kItems; ++i) sums[o * kItems + i] += w * x[k * kItems + i];
        }
}

int32_t paired(int32_t low, int32_t high) {
    return static_cast<int32_t>((static_cast<uint32_t>(low) & 0xFFFF) |
                                static_cast<uint32_t>(high) << 16);
}

// (n, kItems) values become (ceil(n / 2), kItems) pairs, in place.
void pair_up(int32_t *x, size_t n) {
    for (size_t k = 0; 2 * k < n; ++k)
        for (int i = 0; i < kItems; ++i)
            x[k * kItems + i] = paired(x[2 * k * kItems + i],
                                       2 * k + 1 < n ? x[(2 * k + 1) * kItems + i] : 0);
}

void paired_sums(const Layer &layer, const int32_t *x, int32_t *sums) {
    const size_t n = (layer.n_in + 1) / 2;
    std::fill_n(sums, layer.n_out * kItems, 0);
    for (size_t o = 0; o < layer.n_out; ++o)
        for (size_t k = 0; k < n; ++k) {
            const int32_t w = layer.weight[o * n + k];
            const int32_t low = static_cast<int16_t>(w), high = w >> 16;
            for (int i = 0; i < kItems; ++i) {
                const int32_t v = x[k * kItems + i];
                sums[o * kItems + i] += low * static_cast<int16_t>(v) + high * (v >> 16);
            }
        }
}

#ifdef LATRANS_X86
__attribute__((target("avx512f,avx512bw"))) void paired_sums_avx512(const Layer &layer,
                                                                    const int32_t *x,
                                                                    int32_t *sums) {
    const size_t n = (layer.n_in + 1) / 2;
    for (size_t first = 0; first < layer.n_out; first += kBlock) {
        const int32_t *w[kBlock];
        for (size_t o = 0; o < kBlock; ++o)
            w[o] = &layer.weight[std::min(first + o, layer.n_out - 1) * n];
        __m512i s0 = _mm512_setzero_si512(), s1 = s0, s2 = s0, s3 = s0;
        for (size_t k = 0; k < n; ++k) {
            const __m512i v = _mm512_loadu_si512(x + k * kItems);
            s0 = _mm512_add_epi32(s0, _mm512_madd_epi16(v, _mm512_set1_epi32(w[0][k])));
            s1 = _mm512_add_epi32(s1, _mm512_madd_epi16(v, _mm512_set1_epi32(w[1][k])));
            s2 = _mm512_add_epi32(s2, _mm512_madd_epi16(v, _mm512_set1_epi32(w[2][k])));
            s3 = _mm512_add_epi32(s3, _mm512_madd_epi16(v, _mm512_set1_epi32(w[3][k])));
        }
        const __m512i all[kBlock] = {s0, s1, s2, s3};
        for (size_t o = 0; o < std::min(kBlock, layer.n_out - first); ++o)
            _mm512_storeu_si512(sums + (first + o) * kItems, all[o]);
    }
}

__attribute__((target("avx2"))) void paired_sums_avx2(const Layer &layer, const int32_t *x,
                                                      int32_t *sums) {
    const size_t n = (layer.n_in + 1) / 2;
    for (size_t first = 0; first < layer.n_out; first += kBlock) {
        const int32_t *w[kBlock];
        for (size_t o = 0; o < kBlock; ++o)
            w[o] = &layer.weight[std::min(first + o, layer.n_out - 1) * n];
        for (int half = 0; half < kItems; half += 8) {
            __m256i s0 = _mm256_setzero_si256(), s1 = s0, s2 = s0, s3 = s0;
            for (size_t k = 0; k < n; ++k) {
                const __m256i v =
                    _mm256_loadu_si256(reinterpret_cast<const __m256i *>(x + k * kItems + half));
                s0 = _mm256_add_epi32(s0, _mm256_madd_epi16(v, _mm256_set1_epi32(w[0][k])));
                s1 = _mm256_add_epi32(s1, _mm256_madd_epi16(v, _mm256_set1_epi32(w[1][k])));
                s2 = _mm256_add_epi32(s2, _mm256_madd_epi16(v, _mm256_set1_epi32(w[2][k])));
                s3 = _mm256_add_epi32(s3, _mm256_madd_epi16(v, _mm256_set1_epi32(w[3][k])));
            }
            const __m256i all[kBlock] = {s0, s1, s2, s3};
            for (size_t o = 0; o < std::min(kBlock, layer.n_out - first); ++o)
                _mm256_storeu_si256(
                    reinterpret_cast<__m256i *>(sums + (first + o) * kItems + half), all[o]);
        }
    }
}
#endif

Sums fastest() {
#ifdef LATRANS_X86
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw"))
        return paired_sums_avx512;
    if (__builtin_cpu_supports("avx2")) return paired_sums_avx2;
#endif
    return paired_sums;
}

const Sums kPairedSums = fastest();

}  // namespace

void DenseNetwork::add(const int8_t *weight, const int32_t *bias, const uint8_t *shift,
                       size_t n_in, size_t n_out, int32_t lo, int32_t hi, int32_t input_limit) {
    Layer layer{n_in, n_out, lo, hi, input_limit <= INT16_MAX, {}, {}, {}};
    const size_t step = layer.narrow ? 2 : 1;
    for (size_t o = 0; o < n_out; ++o)
        for (size_t k = 0; k < n_in; k += step) {
            const int8_t *w = weight + o * n_in + k;
            layer.weight.push_back(layer.narrow ? paired(w[0], k + 1 < n_in ? w[1] : 0) : w[0]);
        }
    layer.bias.assign(bias, bias + n_out);
    layer.shift.assign(shift, shift + n_out);
    widest_ = std::max({widest_, n_in + 1, n_out});
    layers_.push_back(std::move(layer));
}

const int32_t *DenseNetwork::run(int32_t *const rows[2]) const {
    int now = 0;
    for (const Layer &layer : layers_) {
        int32_t *x = rows[now], *y = rows[now ^ 1];
        if (layer.narrow) {
            pair_up(x, layer.n_in);
            kPairedSums(layer, x, y);
        } else {
            plain_sums(layer, x, y);
        }
        for (size_t o = 0; o < layer.n_out; ++o) {
            const int s = layer.shift[o];
            const int32_t bias = layer.bias[o] + (INT32_C(1) << (s - 1));
            int32_t *to = y + o * kItems;
            for (int i = 0; i < kItems; ++i)
                to[i] = std::min(std::max((to[i] + bias) >> s, layer.lo), layer.hi);
        }
        now ^= 1;
    }
    return rows[now];
}

}  // namespace latrans
