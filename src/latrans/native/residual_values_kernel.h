// A network that names a class per site, by its largest output; one copy per instruction set.
#include <type_traits>

#include "residual_simd.h"
#include "residual_values_step.h"

namespace latrans {
namespace {

// sum + the products of a word's inputs and weights.
template <int group>
V<int32_t> add_word(V<int32_t> sum, V<int32_t> x, V<int32_t> w) {
#if defined(LATRANS_VNNI)
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

inline V<int32_t> widen(const uint8_t *bytes) {
#if defined(__GNUC__) && !defined(LATRANS_SCALAR)
    typedef uint8_t Bytes
        __attribute__((vector_size(width<int32_t>), aligned(1), may_alias));
    return convert<int32_t, width<int32_t>>(*reinterpret_cast<const Bytes *>(bytes));
#else
    return *bytes;
#endif
}

inline V<int32_t> requantised(const ValueLayer &layer, int o, V<int32_t> sum) {
    const int shift = layer.shift[o];
    return clamp((sum + (INT32_C(1) << (shift - 1))) >> shift, number(layer.lo),
                 number(layer.hi));
}

// Calls visit(b, first, values) for each kOutputBlock outputs of a layer.
template <int group, class Visit>
void each_block(const ValueLayer &layer, const int32_t *words, Visit &&visit) {
    for (int b = 0; b < kLanes; b += width<int32_t>) {
        const int32_t *w = layer.weights;
        for (int first = 0; first < layer.n_out; first += kOutputBlock) {
            V<int32_t> sums[kOutputBlock];
            for (int o = 0; o < kOutputBlock; ++o) sums[o] = number(layer.bias[first + o]);
            for (int k = 0; k < layer.n_words; ++k, w += kOutputBlock) {
                const V<int32_t> x = load(words + k * kLanes + b);
                for (int o = 0; o < kOutputBlock; ++o)
                    sums[o] = add_word<group>(sums[o], x, number(w[o]));
            }
            for (int o = 0; o < kOutputBlock; ++o)
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
            for (int k = 0; k < kOutputBlock; k += group, to += kLanes)
                store(to, as_word<group>(values + k, layer.next_base));
        });
    }
    V<int32_t> largest[kLanes / width<int32_t>], found[kLanes / width<int32_t>];
    const auto compare = [&](int b, int first, const V<int32_t> *values) {
        V<int32_t> &most_yet = largest[b / width<int32_t>], &where = found[b / width<int32_t>];
        if (first == 0) {
            most_yet = values[0];
            where = V<int32_t>{};
        }
        for (int o = 0; o < kOutputBlock && first + o < n_classes; ++o) {
            where = select(values[o] > most_yet, number(first + o), where);
            most_yet = most(values[o], most_yet);
        }
    };
    each_block<group>(layers[n_layers - 1], rows[now], compare);
    for (int b = 0; b < kLanes; b += width<int32_t>) store(classes + b, found[b / width<int32_t>]);
}

// One site: outputs side by side.
template <int group>
void run_layer(const ValueLayer &layer, const int32_t *words, int32_t *out) {
    constexpr int kAbreast = 4;
    constexpr int kStride = kAbreast * width<int32_t>;
    for (int first = 0; first < layer.n_out; first += kStride) {
        // Even and odd words have sums of their own, or each would wait for the one before.
        V<int32_t> even[kAbreast], odd[kAbreast];
        const int n = least((layer.n_out - first) / width<int32_t>, kAbreast);
        for (int v = 0; v < n; ++v) {
            even[v] = load(layer.bias + first + v * width<int32_t>);
            odd[v] = V<int32_t>{};
        }
        const int32_t *w = layer.columns + first;
        const auto add = [&](V<int32_t> *sums, int k, int v) {
            sums[v] = add_word<group>(sums[v], number(words[k]),
                                      load(w + k * layer.n_out + v * width<int32_t>));
        };
        int k = 0;
        if (n == kAbreast) {
            for (; k + 1 < layer.n_words; k += 2)
                for (int v = 0; v < kAbreast; ++v) {
                    add(even, k, v);
                    add(odd, k + 1, v);
                }
        } else {
            for (; k + 1 < layer.n_words; k += 2)
                for (int v = 0; v < n; ++v) {
                    add(even, k, v);
                    add(odd, k + 1, v);
                }
        }
        for (; k < layer.n_words; ++k)
            for (int v = 0; v < n; ++v) add(even, k, v);
        for (int v = 0; v < n; ++v) {
            const int at = first + v * width<int32_t>;
            const V<int32_t> shift = load(layer.shift + at);
            const V<int32_t> half = number(INT32_C(1)) << (shift - 1);
            store(out + at, clamp((even[v] + odd[v] + half) >> shift, number(layer.lo),
                                  number(layer.hi)));
        }
    }
}

// Outputs of one site as words of the layer that takes them.
template <int group>
void pack(const int32_t *values, int n, int32_t base, int32_t *words) {
#if defined(__GNUC__) && !defined(LATRANS_SCALAR) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    using Part = std::conditional_t<group == 4, uint8_t, uint16_t>;
    constexpr int n_parts = width<int32_t>;
    auto *to = reinterpret_cast<typename Lane<Part, n_parts>::memory *>(words);
    for (int i = 0; i < n; i += n_parts)
        *to++ = convert<Part, n_parts>(bits<V<uint32_t>>(load(values + i) - number(base)));
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

}  // namespace

extern const ValueKernel LATRANS_KERNEL;
#if defined(LATRANS_VNNI)
namespace {
const ValueKernel pairs{LATRANS_KERNEL_NAME, 2, nullptr, &run_sites<2>, &run_one<2>};
}
const ValueKernel LATRANS_KERNEL{LATRANS_KERNEL_NAME, 4, &pairs, &run_sites<4>, &run_one<4>};
#else
const ValueKernel LATRANS_KERNEL{LATRANS_KERNEL_NAME, 2, nullptr, &run_sites<2>, &run_one<2>};
#endif

}  // namespace latrans
