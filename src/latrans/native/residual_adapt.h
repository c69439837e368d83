// The adaptive filter of a track's lanes: the twin of residual/adaptive.py.
#pragma once
#include "residual_look.h"

namespace latrans {
namespace {

template <class G, class T>
struct Adaptation {
    V<T> inputs[G::n_adaptive + 1], foretold, share, miss;

    // Learns from the last sample's error, then foretells the next.
    template <class Around>
    void foretell(const Around &l, const Unit<T> &now, const Known<T> &k, Answer<T> &a) {
        const int b = l.b;
        const Unit<T> then(l.p, load(a.energy + b));
        const V<T> missed = l.template own<0, -1>(l.s.errors) - load(a.foretold + b);
        V<T> bend = clamp(then.ratio(missed), number<T>(-kFilterStep), number<T>(kFilterStep));
        if (sizeof(T) == 4) bend &= 0xFFFF;
        miss = load(a.miss + b);
        miss += (magnitude(missed) - miss) >> 4;
        store(a.miss + b, miss);
        V<T> sums[2] = {};
        unrolled<G::n_adaptive>([&](auto j) {
            constexpr int i = G::n_adaptive - 1 - j;
            const V<T> weight = clamp(bent(load(a.filter[i] + b), bend, load(a.seen[i] + b)),
                                      number<T>(-kFilterLimit), number<T>(kFilterLimit));
            inputs[i] = saturate<T>(now.ratio(l.template own<0, -1 - i>(l.s.errors)));
            sums[i % 2] += product<T>(weight, inputs[i]);
            store(a.filter[i] + b, weight);
            store(a.seen[i] + b, inputs[i]);
        });
        share = clamp((sums[0] + sums[1]) >> 11, number<T>(-kShareLimit), number<T>(kShareLimit));
        foretold = (k.energy >> 10) * share + (((k.energy & 1023) * share) >> 10);
        store(a.foretold + b, foretold);
    }

private:
    // weight + bend * seen; int32 has bend in the lower half of its lanes, whose upper one is 0.
    static V<T> bent(V<T> weight, V<T> bend, V<T> seen) {
        if constexpr (sizeof(T) == 4)
            return add_products(weight, seen, bend);
        else
            return weight + product<T>(bend, seen);
    }
};

}  // namespace
}  // namespace latrans
