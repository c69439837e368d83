// A network that names a class per site, by its largest output; one copy per instruction set.
#pragma once
#include "simd.h"
#include "values/step.h"

namespace latrans {
namespace {
namespace values_kernel {

// Outputs that are summed side by side: sums wait for each other, but registers are few.
constexpr int kBlock = width<int32_t> == kLanes ? 16 : 8;

// sum + the products of a word's inputs and weights.
template <int group>
V<int32_t> add_word(V<int32_t> sum, V<int32_t> x, V<int32_t> w) {
#if defined(LATRANS_AVX512)
    if constexpr (group == 4)
        return reinterpret_cast<V<int32_t>>(
            _mm512_dpbusd_epi32(reinterpret_cast<__m512i>(sum), reinterpret_cast<__m512i>(x),
                                reinterpret_cast<__m512i>(w)));
#endif
    return add_products(sum, x, w);
}

// Values, `group` of them as a word of each lane.
template <int group>
V<int32_t> as_word(const V<int32_t> *values, int32_t base) {
    constexpr int shift = 32 / group;
    using U = V<uint32_t>;
    U word = U{};
    for (int i = 0; i < group; ++i)
        word |= (bits<U>(values[i] - number(base)) & (~0u >> (32 - shift))) << (shift * i);
    return bits<V<int32_t>>(word);
}

// The compiler's own conversions go byte by byte.
inline V<int32_t> widen(const uint8_t *bytes) {
#if defined(LATRANS_AVX512)
    const auto part = _mm_loadu_si128(reinterpret_cast<const __m128i *>(bytes));
    return reinterpret_cast<V<int32_t>>(_mm512_cvtepu8_epi32(part));
#elif defined(LATRANS_AVX2)
    const auto part = _mm_loadl_epi64(reinterpret_cast<const __m128i *>(bytes));
    return reinterpret_cast<V<int32_t>>(_mm256_cvtepu8_epi32(part));
#else
    int32_t values[width<int32_t>];
    for (int i = 0; i < width<int32_t>; ++i) values[i] = bytes[i];
    return load(values);
#endif
}

// Outputs from sums that begin with half a unit.
inline V<int32_t> requantised(const ValueLayer &layer, int o, V<int32_t> sum) {
#if defined(LATRANS_AVX2) || defined(LATRANS_AVX512)
    sum = sum >> number(layer.shift[o]);
#else
    sum = sum >> layer.shift[o];
#endif
    return clamp(sum, number(layer.lo), number(layer.hi));
}

// Calls visit(b, first, values) for each kBlock outputs of a layer.
template <int group, class Visit>
void each_block(const ValueLayer &layer, const int32_t *words, Visit &&visit) {
    for (int b = 0; b < kLanes; b += width<int32_t>) {
        const int32_t *w = layer.weights;
        for (int first = 0; first < layer.n_out; first += kBlock) {
            V<int32_t> sums[kBlock];
            for (int o = 0; o < kBlock; ++o) sums[o] = number(layer.bias[first + o]);
            for (int k = 0; k < layer.n_words; ++k, w += kBlock) {
                const V<int32_t> x = load(words + k * kLanes + b);
                for (int o = 0; o < kBlock; ++o)
                    sums[o] = add_word<group>(sums[o], x, number(w[o]));
            }
            for (int o = 0; o < kBlock; ++o)
                sums[o] = requantised(layer, first + o, sums[o]);
            visit(b, first, sums);
        }
    }
}

template <int group>
void run_sites(const ValueLayer *layers, int n_layers, int n_classes,
               const uint8_t *const *inputs, int32_t *const rows[2], int32_t *classes) {
    for (int b = 0; b < kLanes; b += width<int32_t>)
        for (int k = 0; k < layers[0].n_words; ++k) {
            V<int32_t> values[group];
            for (int i = 0; i < group; ++i) values[i] = widen(inputs[k * group + i] + b);
            store(rows[0] + k * kLanes + b, as_word<group>(values, 0));
        }
    int now = 0;
    for (int i = 0; i + 1 < n_layers; ++i, now ^= 1) {
        const ValueLayer &layer = layers[i];
        each_block<group>(layer, rows[now], [&](int b, int first, const V<int32_t> *values) {
            int32_t *to = rows[now ^ 1] + first / group * kLanes + b;
            for (int k = 0; k < kBlock; k += group, to += kLanes)
                store(to, as_word<group>(values + k, layer.next_base));
        });
    }
    V<int32_t> largest[kLanes / width<int32_t>], found[kLanes / width<int32_t>]{};
    const auto compare = [&](int b, int first, const V<int32_t> *values) {
        V<int32_t> &most_yet = largest[b / width<int32_t>], &where = found[b / width<int32_t>];
        if (first == 0) most_yet = values[0];
        for (int o = 0; o < kBlock && first + o < n_classes; ++o) {
            where = select(values[o] > most_yet, number(first + o), where);
            most_yet = most(values[o], most_yet);
        }
    };
    each_block<group>(layers[n_layers - 1], rows[now], compare);
    for (int b = 0; b < kLanes; b += width<int32_t>) store(classes + b, found[b / width<int32_t>]);
}

// One site: n vectors of outputs side by side.
template <int group, int n>
void run_outputs(const ValueLayer &layer, const int32_t *words, int first, int32_t *out) {
    // Even and odd words have sums of their own, or each would wait for the one before.
    V<int32_t> even[n], odd[n];
    for (int v = 0; v < n; ++v) {
        even[v] = load(layer.bias + first + v * width<int32_t>);
        odd[v] = V<int32_t>{};
    }
    const int32_t *w = layer.columns + first;
    int k = 0;
    for (; k + 1 < layer.n_words; k += 2, w += 2 * layer.n_out) {
        const V<int32_t> x = number(words[k]), next = number(words[k + 1]);
        for (int v = 0; v < n; ++v) {
            even[v] = add_word<group>(even[v], x, load(w + v * width<int32_t>));
            odd[v] = add_word<group>(odd[v], next, load(w + layer.n_out + v * width<int32_t>));
        }
    }
    if (k < layer.n_words)
        for (int v = 0; v < n; ++v)
            even[v] = add_word<group>(even[v], number(words[k]), load(w + v * width<int32_t>));
    for (int v = 0; v < n; ++v) {
        const int at = first + v * width<int32_t>;
        const V<int32_t> sum = (even[v] + odd[v]) >> load(layer.shift + at);
        store(out + at, clamp(sum, number(layer.lo), number(layer.hi)));
    }
}

template <int group>
void run_layer(const ValueLayer &layer, const int32_t *words, int32_t *out) {
    for (int first = 0; first < layer.n_out;) {
        const int left = (layer.n_out - first) / width<int32_t>;
        if (left >= 4) {
            run_outputs<group, 4>(layer, words, first, out);
            first += 4 * width<int32_t>;
        } else if (left >= 2) {
            run_outputs<group, 2>(layer, words, first, out);
            first += 2 * width<int32_t>;
        } else {
            run_outputs<group, 1>(layer, words, first, out);
            first += width<int32_t>;
        }
    }
}

// Outputs of one site as words of the layer that takes them.
template <int group>
void pack(const int32_t *values, int n, int32_t base, int32_t *words) {
#if defined(LATRANS_AVX512)
    for (int i = 0; i < n; i += kLanes, words += kLanes / group) {
        const auto v = reinterpret_cast<__m512i>(load(values + i) - number(base));
        if constexpr (group == 4)
            _mm_storeu_si128(reinterpret_cast<__m128i *>(words), _mm512_cvtepi32_epi8(v));
        else
            _mm256_storeu_si256(reinterpret_cast<__m256i *>(words), _mm512_cvtepi32_epi16(v));
    }
#else
    for (int i = 0; i < n; i += group) *words++ = value_word(values + i, group, group, base);
#endif
}

template <int group>
const int32_t *run_one(const ValueLayer *layers, int n_layers, int32_t *const rows[2]) {
    for (int i = 0;; ++i) {
        run_layer<group>(layers[i], rows[0], rows[1]);
        if (i + 1 == n_layers) return rows[1];
        // Outputs beyond the last one meet weights of zero, or none.
        pack<group>(rows[1], layers[i].n_out, layers[i].next_base, rows[0]);
    }
}

// Place of the largest of n outputs, the first of equals.
inline int first_largest(const int32_t *outputs, int n) {
    const V<int32_t> lowest = number(INT32_MIN);
    int32_t first[width<int32_t>];
    for (int i = 0; i < width<int32_t>; ++i) first[i] = i;
    V<int32_t> places = load(first), largest = lowest, found = V<int32_t>{};
    for (int i = 0; i < n; i += width<int32_t>, places += width<int32_t>) {
        const V<int32_t> output = select(places < n, load(outputs + i), lowest);
        found = select(output > largest, places, found);
        largest = most(output, largest);
    }
#if defined(LATRANS_AVX512)
    const auto values = reinterpret_cast<__m512i>(largest);
    const __mmask16 equal =
        _mm512_cmpeq_epi32_mask(values, _mm512_set1_epi32(_mm512_reduce_max_epi32(values)));
    return _mm512_mask_reduce_min_epi32(equal, reinterpret_cast<__m512i>(found));
#else
    int32_t value[width<int32_t>], place[width<int32_t>];
    store(value, largest);
    store(place, found);
    int best = 0;
    for (int i = 1; i < width<int32_t>; ++i)
        if (value[i] > value[best] || (value[i] == value[best] && place[i] < place[best])) best = i;
    return place[best];
#endif
}

#if defined(LATRANS_AVX512)
constexpr ValueKernel kPairs{2, kBlock, nullptr, &run_sites<2>, &run_one<2>, &first_largest};
constexpr ValueKernel kTable{4, kBlock, &kPairs, &run_sites<4>, &run_one<4>, &first_largest};
#else
constexpr ValueKernel kTable{2, kBlock, nullptr, &run_sites<2>, &run_one<2>, &first_largest};
#endif

}  // namespace values_kernel
}  // namespace
}  // namespace latrans
