// A vector of lanes of a step: what lies around the samples, and the linear predictions.
//
// Twin of residual/neighbours.py; [B] refers to the bounds in residual/kernel/step.h.
#pragma once
#include "residual/kernel/fixed_point.h"
#include "residual/kernel/step.h"
#include "simd.h"

namespace latrans {
namespace {

constexpr int kSeenTaps = 16;  // whose differences networks see, alone or in sums

// What one vector of lanes knows, from lane b on.
template <class T>
struct Known {
    V<T> left, base, level, delta, trained, energy;
    V<T> differences[kSeenTaps];
    V<T> around;            // how many of the 12 nearest taps equal the level (int32: in halves)
    V<T> equal_6, equal_24;  // of the first ones, as inputs
    V<T> beyond;             // negative where int32 is too small
};

// G: geometry; T: carrier; first_row: of a plane's first strip.
template <class G, class T, bool first_row>
class Neighbourhood {
public:
    Neighbourhood(const Scene<T> &scene, ptrdiff_t at, int b)
        : s(scene), p(*scene.plan), at(at + b), b(b) {}

    // A neighbour in this plane; in the first row the left one stands for those above.
    template <int dy, int dx>
    V<T> own(const T *canvas) const {
        const V<T> v = recent<dy, dx>(canvas);
        if constexpr (first_row && dy < 0) {
            if (b == 0) return select(lane_zero(), load(canvas + at + G::layout.delta(0, -1)), v);
        }
        return v;
    }
    template <int k>
    V<T> tap() const {
        return own<G::taps[k].dy, G::taps[k].dx>(s.samples);
    }
    template <int k>
    V<T> error() const {
        return own<G::errors[k].dy, G::errors[k].dx>(s.errors);
    }
    V<T> elsewhere(const T *canvas, Offset o) const {
        return load(canvas + at + G::layout.delta(G::plane ? o.dy : 0, o.dx));
    }
    // Reference level of a finished plane.
    V<T> level_of(const T *samples) const {
        return rounded_mean(elsewhere(samples, G::base[0]), elsewhere(samples, G::base[1]));
    }
    static constexpr Offset picture_tap(int k) { return {k / 3 - 1, k % 3 - 1}; }
    static auto lane_zero() {
        alignas(64) static constexpr T kFirst[kLanes] = {1};
        return load(kFirst) != 0;
    }
    static V<T> rounded_mean(V<T> x, V<T> y) { return (x + y + 1) >> 1; }

    void predict(Known<T> &k) const {
        k.left = own<0, -1>(s.samples);
        k.base = G::plane ? rounded_mean(k.left, own<G::base[1].dy, G::base[1].dx>(s.samples))
                          : k.left;
        k.level = k.left;
        k.beyond = V<T>{};
        unrolled<kSeenTaps>([&](auto i) { k.differences[i] = tap<i>() - k.base; });
        if constexpr (sizeof(T) == 8)
            weigh_one_by_one(k);
        else if (s.wide_sums)
            weigh_pairs<true>(k);
        else
            weigh_pairs<false>(k);
    }

    // Expected error of the sample: m + ((26 * (min(sigma, 3 m + 77) - m)) >> 8) + 5, where what
    // is multiplied by 26 is below 2^26 [B].
    V<T> expected_error() const {
        V<T> sum = V<T>{};
        unrolled<G::n_errors>([&](auto i) {
            constexpr int k = G::n_errors - 1 - i;
            const V<T> size = magnitude(error<k>());
            if constexpr (G::error_weights[k] == 1) sum += size;
            if constexpr (G::error_weights[k] == 2) sum += size + size;
        });
        const V<T> mean = sum >> 3;
        const V<T> more = least(load(s.sigma + b), mean + mean + mean + 77) - mean;
        return mean + ((more + (more << 2) + (more << 3)) >> 7) + 5;
    }

    // Sums of absolute errors, as they were one column before in `kept`.
    template <class Sums>
    void slide_windows(T (*kept)[kLanes], Sums &windows) const {
        using U = V<Unsigned<T>>;
        const U left = bits<U>(magnitude(load(s.errors + at + G::layout.delta(0, -1))));
        unrolled<G::n_windows>([&](auto i) {
            constexpr Window w = G::windows[i];
            U sum = U{};
            unrolled<w.above>([&](auto k) {
                constexpr int dy = k - w.above;
                sum += bits<U>(magnitude(recent<dy, w.right>(s.errors))) -
                       bits<U>(magnitude(recent<dy, -w.left - 1>(s.errors)));
            });
            sum += bits<U>(load(kept[i] + b)) -
                   bits<U>(magnitude(recent<0, -w.left - 1>(s.errors)));
            windows[i] = sum + left;
        });
        unrolled<G::n_windows>([&](auto i) {
            store(kept[i] + b, bits<V<T>>(windows[i]));
            if constexpr (first_row) {
                // The whole box of the first row holds its left neighbour.
                constexpr Unsigned<T> n = G::windows[i].count();
                if (b == 0) windows[i] = select(lane_zero(), left * n, windows[i]);
            }
        });
    }

    const Scene<T> &s;
    const Plan &p;
    const ptrdiff_t at;
    const int b;

private:
    // What was written in the step before is taken as it was written, moved by a lane where it
    // belongs to the row above: a load across two stores would wait until both are in the cache.
    template <int dy, int dx>
    V<T> recent(const T *canvas) const {
        constexpr ptrdiff_t delta = G::layout.delta(dy, dx);
#if defined(LATRANS_AVX512)
        if constexpr (sizeof(T) == 4 && dy == -1 && G::layout.lag * dy + dx == -1) {
            const auto last = bits<__m512i>(load(canvas + at - G::layout.stride()));
            const __m512i above = _mm512_set1_epi32(canvas[at + delta]);
            return bits<V<T>>(_mm512_alignr_epi32(last, above, kLanes - 1));
        }
#endif
        return load(canvas + at + delta);
    }

    // Sum of weighted differences, as sum or as high * 256 + low.
    template <bool wide>
    struct Sum {
        V<int32_t> low, high;

        // Two samples of 16 bits side by side.  As int16 they are 2^15 less, which `less` makes
        // good; all of it may wrap on the way, for the outcome does not.  For wide sums they are
        // taken as two bytes each, and sums stay below 2^30 over 64 taps [B].
        static V<int32_t> pair(V<int32_t> a, V<int32_t> b) {
            const auto moved = bits<V<int32_t>>(bits<V<uint32_t>>(b) << 16);
            const V<int32_t> halves = number(INT32_MIN | 0x8000);
#if defined(LATRANS_AVX512)
            constexpr int kOrThenXor = 0x56;
            if constexpr (!wide)
                return bits<V<int32_t>>(_mm512_ternarylogic_epi32(
                    bits<__m512i>(a), bits<__m512i>(moved), bits<__m512i>(halves), kOrThenXor));
#endif
            return wide ? a | moved : (a | moved) ^ halves;
        }
        void add(V<int32_t> pair, V<int32_t> weights) {
            if constexpr (wide) {
                const auto above = bits<V<int32_t>>(bits<V<uint32_t>>(pair) >> 8);
                low = add_products(low, pair & 0x00FF00FF, weights);
                high = add_products(high, above & 0x00FF00FF, weights);
            } else {
                low = add_products(low, pair, weights);
            }
        }
        // Takes a reference level off all samples, whose weights have this sum.
        void less(V<int32_t> level, V<int32_t> weight_sum) {
            if constexpr (wide) {
                low -= (level & 255) * weight_sum;
                high -= (level >> 8) * weight_sum;
            } else {
                low = wrapped_sum(low, 32768 - level, weight_sum);
            }
        }
        void add_single(V<int32_t> difference, V<int32_t> weight) {
            if constexpr (wide) {
                low += (difference & 255) * weight;
                high += (difference >> 8) * weight;
            } else {
                low = wrapped_sum(low, difference, weight);
            }
        }
        V<int32_t> above() const { return wide ? high + (low >> 8) : low >> 8; }
        V<int32_t> all() const { return wide ? above() << 8 | (low & 255) : low; }

    private:
        static V<int32_t> wrapped_sum(V<int32_t> sum, V<int32_t> x, V<int32_t> y) {
            using U = V<uint32_t>;
            return bits<V<int32_t>>(bits<U>(sum) + bits<U>(x) * bits<U>(y));
        }
    };

    template <bool wide>
    void weigh_pairs(Known<T> &k) const {
        constexpr int n_pairs = G::n_taps / 2;
        Sum<wide> sum{}, trained{};
        const V<T> levels = sum.pair(k.level, k.level);
        V<T> counts[3] = {};
        const auto take = [&](auto i) {
            const V<T> pair = sum.pair(tap<2 * i>(), tap<2 * i + 1>());
            constexpr int which = i < 3 ? 0 : i < 6 ? 1 : 2;
            if constexpr (i < 12) counts[which] = count_equal_halves(counts[which], pair, levels);
            sum.add(pair, load(s.pairs[i] + b));
            trained.add(pair, number(p.trained_pairs[i]));
        };
        // Pairs with samples of the step before come last: the others need not wait for it.
        constexpr int late = G::plane ? 7 : 0;
        unrolled<n_pairs>([&](auto i) {
            constexpr int j = n_pairs - 1 - i;
            if constexpr (j == 0) take(std::integral_constant<int, late>{});
            if constexpr (j != late || j == 0) {
                if constexpr (j != 0 || late != 0) take(std::integral_constant<int, j>{});
            }
        });
        counts[1] += counts[0];
        counts[2] += counts[1];
        k.around = counts[1];
        k.equal_6 = add_products(V<T>{}, counts[0], number(16 | 16 << 16));
        k.equal_24 = add_products(V<T>{}, counts[2], number(4 | 4 << 16));
        sum.less(k.base, load(s.weight_sums[0] + b));
        trained.less(k.base, number(p.trained_sum));
        if (p.has_picture)
            for (int i = 0; i < kPictureTaps; ++i) {
                const V<T> difference = elsewhere(s.picture, picture_tap(i)) - k.base;
                sum.add_single(difference, load(s.weights[G::n_taps + i] + b));
                trained.add_single(difference, number(p.trained[G::n_taps + i]));
            }
        const int32_t *weights = s.pairs[n_pairs] + b;
        for (int r = 0; r < s.n_weighed; ++r) {
            const T *samples = s.references[r].samples;
            constexpr int n = G::n_reference_taps;
            unrolled<(n + 1) / 2>([&](auto i) {
                // The weight that an odd one's partner has is 0.
                constexpr int other = 2 * i + 1 < n ? 2 * i + 1 : 0;
                sum.add(sum.pair(elsewhere(samples, G::reference_taps[2 * i]),
                                 elsewhere(samples, G::reference_taps[other])),
                        load(weights));
                weights += kLanes;
            });
            sum.less(level_of(samples), load(s.weight_sums[1 + r] + b));
        }
        k.beyond |= load(s.limit + b) - magnitude(sum.above());
        k.delta = sum.all() << load(s.up + b) >> load(s.down + b);
        if (wide) k.beyond |= number(1 << 22) - magnitude(trained.above());
        k.trained = trained.all() >> 4;
    }

    static V<T> limited(V<T> v) {
        const V<T> limit = number<T>(static_cast<T>(kWideLimit));
        return clamp(v, -limit, limit);
    }

    void weigh_one_by_one(Known<T> &k) const {
        // Samples are 32 bits; less 2^31 they are factors of the fastest multiplication.
        const V<T> half = number<T>(static_cast<T>(int64_t{1} << 31));
        V<T> sum = V<T>{}, trained = V<T>{}, counts[3] = {};
        unrolled<G::n_taps>([&](auto i) {
            const V<T> sample = tap<i>(), x = sample - half;
            sum += product<T>(x, load(s.weights[i] + b));
            trained += product<T>(x, number<T>(p.trained[i]));
            constexpr int which = i < 6 ? 0 : i < 12 ? 1 : 2;
            if constexpr (i < 24)
                counts[which] += select(sample == k.level, number<T>(1), V<T>{});
        });
        counts[1] += counts[0];
        counts[2] += counts[1];
        k.around = counts[1];
        k.equal_6 = counts[0] * 16;
        k.equal_24 = counts[2] * 4;
        sum += (half - k.base) * load(s.weight_sums[0] + b);
        trained += (half - k.base) * number<T>(p.trained_sum);
        if (p.has_picture)
            for (int i = 0; i < kPictureTaps; ++i) {
                const V<T> difference = elsewhere(s.picture, picture_tap(i)) - k.base;
                sum += difference * load(s.weights[G::n_taps + i] + b);
                trained += difference * number<T>(p.trained[G::n_taps + i]);
            }
        const T(*weights)[kLanes] = s.weights + p.n_own_taps;
        for (int r = 0; r < s.n_weighed; ++r, weights += G::n_reference_taps) {
            const T *samples = s.references[r].samples;
            unrolled<G::n_reference_taps>([&](auto i) {
                sum += product<T>(elsewhere(samples, G::reference_taps[i]) - half,
                                  load(weights[i] + b));
            });
            sum += (half - level_of(samples)) * load(s.weight_sums[1 + r] + b);
        }
        const V<T> limit = load(s.limit + b) << 8;
        k.delta = limited(clamp(sum, -limit, limit) << load(s.up + b) >> load(s.down + b));
        k.trained = limited(trained >> 4);
    }
};

}  // namespace
}  // namespace latrans
