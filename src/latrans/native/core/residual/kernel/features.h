// Network inputs: the twin of residual/features.py.
#pragma once
#include "residual/kernel/int8_network.h"
#include "residual/kernel/neighbourhood.h"
#include "residual/kernel/nlms.h"

namespace latrans {
namespace {

// Inputs of one vector of lanes, four at a time: four bytes to a cell, 128 too large (AVX-512), or
// two int16.
class Inputs {
public:
    explicit Inputs(int32_t *rows) : row_(rows) {}

    // Limits four inputs to +-127.
    template <class T>
    void add(V<T> first, V<T> second, V<T> third, V<T> fourth) {
#if defined(LATRANS_AVX512)
        if constexpr (sizeof(T) == 4) {
            const __m512i words = _mm512_packs_epi32(bits<__m512i>(first), bits<__m512i>(second));
            const __m512i more = _mm512_packs_epi32(bits<__m512i>(third), bits<__m512i>(fourth));
            const __m512i limited = _mm512_max_epi8(_mm512_packs_epi16(words, more),
                                                    _mm512_set1_epi8(-127));
            store(row_, bits<V<int32_t>>(_mm512_xor_si512(gathered(limited),
                                                          _mm512_set1_epi8(-128))));
        } else {
            store32<T>(row_, byte<T>(first, 0) | byte<T>(second, 8) | byte<T>(third, 16) |
                                 byte<T>(fourth, 24));
        }
        row_ += kLanes;
#else
        store32<T>(row_, pair<T>(first, second));
        store32<T>(row_ + kLanes, pair<T>(third, fourth));
        row_ += 2 * kLanes;
#endif
    }
    // A whole section; those missing in the last cell are 0.
    template <class T, int n>
    void add_all(const V<T> (&inputs)[n]) {
        unrolled<padded(n) / kCell>([&](auto i) {
            const auto at = [&](auto k) {
                if constexpr (4 * i + k < n)
                    return inputs[4 * i + k];
                else
                    return V<T>{};
            };
            add<T>(inputs[4 * i], at(std::integral_constant<int, 1>{}),
                   at(std::integral_constant<int, 2>{}), at(std::integral_constant<int, 3>{}));
        });
    }

private:
    template <class T>
    static V<T> byte(V<T> v, int shift) {
        return (saturate<T>(v) + 128) << shift;
    }
    template <class T>
    static V<T> pair(V<T> a, V<T> b) {
        return (saturate<T>(a) & 0xFFFF) | saturate<T>(b) << 16;
    }

    int32_t *row_;
};

// How inputs are measured.
template <class G, class T, bool first_row>
class Description {
public:
    Description(const Neighbourhood<G, T, first_row> &around, const Known<T> &known,
                const Unit<T> &energy)
        : l(around), s(around.s), p(around.p), b(around.b), k(known), by_energy(energy),
          by_scale(p, scale(known)) {}

    template <class Sums>
    void own_inputs(Inputs &inputs, const Sums &windows, const NlmsFilter<G, T> &filter,
                    Answer<T> &a) const {
        V<T> x[kOwnInputs<G>];
        int n = 0;
        V<T> near = V<T>{}, far = V<T>{};
        unrolled<3>([&](auto i) { near += magnitude(k.differences[2 - i]); });
        unrolled<8>([&](auto i) { far += magnitude(k.differences[15 - i]); });
        unrolled<8>([&](auto i) { x[n++] = by_scale.ratio_of_whole(k.differences[i]); });
        const V<T> log_energy = by_energy.log;
        x[n++] = (by_scale.log - (256 + kLogBias<T>)) >> 2;
        x[n++] = half(log2_of<T>(p, near * 85 + 64) - by_scale.log);
        x[n++] = half(log2_of<T>(p, (far << 5) + 64) - by_scale.log);
        x[n++] = by_scale.ratio(k.delta);
        x[n++] = (((k.delta + 128) & 255) - 128) >> 1;
        x[n++] = half(log_energy - by_scale.log);
        x[n++] = (log_energy - (256 + kLogBias<T>)) >> 2;
        x[n++] = half(load(s.log_sigma + b) + kLogBias<T> - log_energy);
        const V<T> recent = (magnitude(l.template error<0>()) +
                             magnitude(l.template error<1>())) >> 1;
        x[n++] = half(log2_of<T>(p, recent + 1) - log_energy);
        if constexpr (G::n_adaptive > 0) {
            unrolled<G::n_errors>([&](auto i) { x[n++] = filter.inputs[i]; });
        } else {
            unrolled<G::n_errors>([&](auto i) {
                x[n++] = by_energy.ratio(l.template error<i>());
            });
        }
        x[n++] = k.equal_6;
        x[n++] = k.equal_24;
        constexpr int last = G::n_windows - 1;
        const auto quiet = windows[last] < Unsigned<T>{13 * G::windows[last].count()};
        x[n++] = select(quiet, number<T>(64), V<T>{});
        unrolled<G::n_windows>([&](auto i) {
            x[n++] = half(log2<T>(p, windows[i] + 1) - p.log_counts[i] - log_energy);
        });
        int gate = 0;
        const auto offer = [&](V<T> value, bool described) {
            const V<T> difference = value - k.base;
            store(a.gates[gate++] + b, difference);
            if (described) x[n++] = by_energy.ratio(difference * 256 - k.delta);
        };
        unrolled<G::n_alternatives>([&](auto i) {
            const V<T> sum = alternative<i>();
            if constexpr (i == 0 && G::median) {
                const V<T> above = l.template own<-1, 0>(s.samples);
                offer(clamp(sum, least(k.left, above), most(k.left, above)), true);
            }
            offer(sum, i < G::n_described);
        });
        if constexpr (G::n_adaptive > 0) {
            store(a.gates[gate++] + b, filter.predicted_error);
            x[n++] = filter.normalised_prediction >> 6;
            x[n++] = half(log2_of<T>(p, filter.mean_abs_miss + 1) - log_energy);
        }
        store(a.gates[gate] + b, k.trained);
        x[n++] = by_energy.ratio(k.trained - k.delta);
        inputs.add_all<T>(x);
    }

    void picture_inputs(Inputs &inputs) const {
        V<T> x[kPictureInputs];
        V<T> centre = V<T>{};
        for (int i = 0; i < kPictureTaps; ++i) {
            const V<T> difference =
                l.elsewhere(s.picture, Neighbourhood<G, T, first_row>::picture_tap(i)) - k.base;
            if (i == kPictureTaps / 2) centre = difference;
            x[i] = by_scale.ratio_of_whole(difference);
        }
        x[kPictureTaps] = by_energy.ratio(centre * 256 - k.delta);
        unrolled<2>([&](auto i) {
            constexpr Offset o = G::picture_errors[i];
            x[kPictureTaps + 1 + i] = by_scale.ratio_of_whole(
                l.template own<o.dy, o.dx>(s.samples) - l.elsewhere(s.picture, o));
        });
        inputs.add_all<T>(x);
    }

    template <class Reference>
    void reference_inputs(Inputs &inputs, const Reference &reference) const {
        V<T> x[kReferenceInputs<G>];
        int n = 0;
        const Unit<T> unit(p, load(reference.energy + l.at));
        const V<T> centre = l.elsewhere(reference.errors, G::reference_errors[0]);
        x[n++] = unit.ratio(centre);
        x[n++] = by_energy.ratio(centre);
        x[n++] = half(unit.log - by_energy.log);
        unrolled<G::n_reference_errors>([&](auto i) {
            const V<T> error = l.elsewhere(reference.errors, G::reference_errors[i]);
            x[n++] = half(log2_of<T>(p, magnitude(error) + 1) - unit.log);
        });
        const V<T> level = l.level_of(reference.samples);
        unrolled<G::n_near>([&](auto i) {
            x[n++] = by_scale.ratio_of_whole(
                l.elsewhere(reference.samples, G::reference_taps[i]) - level);
        });
        inputs.add_all<T>(x);
    }

private:
    static V<T> half(V<T> v) { return v >> 1; }
    static V<T> scale(const Known<T> &k) {
        V<T> around = V<T>{};
        unrolled<8>([&](auto i) { around += magnitude(k.differences[7 - i]); });
        return (around << 5) + 64;
    }
    template <int i>
    V<T> alternative() const {
        constexpr auto sum = G::alternatives[i];
        V<T> total = V<T>{};
        unrolled<sum.n_terms>([&](auto j) {
            constexpr Term t = sum.terms[j];
            total += l.template own<t.offset.dy, t.offset.dx>(s.samples) * t.weight;
        });
        return total;
    }

    const Neighbourhood<G, T, first_row> &l;
    const Scene<T> &s;
    const Plan &p;
    const int b;
    const Known<T> &k;
    const Unit<T> &by_energy;
    const WholeUnit<T> by_scale;
};

}  // namespace
}  // namespace latrans
