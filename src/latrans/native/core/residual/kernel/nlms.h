// The adaptive filter of a track's lanes: the twin of residual/nlms.py.
#pragma once
#include "residual/kernel/neighbourhood.h"

namespace latrans {
namespace {

template <class G, class T>
struct NlmsFilter {
    V<T> inputs[G::n_adaptive + 1], predicted_error, normalised_prediction, mean_abs_miss;

    // Learns from the last sample's error, then predicts the next.
    template <class Around>
    void predict(const Around &l, const Unit<T> &now, const Known<T> &k, Answer<T> &a) {
        const int b = l.b;
        const Unit<T> then(l.p, load(a.energy + b));
        const V<T> missed = l.template own<0, -1>(l.s.errors) - load(a.predicted_error + b);
        V<T> bend = clamp(then.ratio(missed), number<T>(-kFilterStep), number<T>(kFilterStep));
        if (sizeof(T) == 4) bend &= 0xFFFF;
        mean_abs_miss = load(a.mean_abs_miss + b);
        mean_abs_miss += (magnitude(missed) - mean_abs_miss) >> 4;
        store(a.mean_abs_miss + b, mean_abs_miss);
        V<T> sums[2] = {};
        unrolled<G::n_adaptive>([&](auto j) {
            constexpr int i = G::n_adaptive - 1 - j;
            const V<T> weight = clamp(new_weights(load(a.filter[i] + b), bend, load(a.seen[i] + b)),
                                      number<T>(-kFilterLimit), number<T>(kFilterLimit));
            inputs[i] = saturate<T>(now.ratio(l.template own<0, -1 - i>(l.s.errors)));
            sums[i % 2] += product<T>(weight, inputs[i]);
            store(a.filter[i] + b, weight);
            store(a.seen[i] + b, inputs[i]);
        });
        normalised_prediction = clamp((sums[0] + sums[1]) >> 11, number<T>(-kPredictionLimit),
                                      number<T>(kPredictionLimit));
        predicted_error = (k.energy >> 10) * normalised_prediction +
                          (((k.energy & 1023) * normalised_prediction) >> 10);
        store(a.predicted_error + b, predicted_error);
    }

private:
    // weight + bend * seen; int32 has bend in the lower half of its lanes, whose upper one is 0.
    static V<T> new_weights(V<T> weight, V<T> bend, V<T> seen) {
        if constexpr (sizeof(T) == 4)
            return add_products(weight, seen, bend);
        else
            return weight + product<T>(bend, seen);
    }
};

}  // namespace
}  // namespace latrans
