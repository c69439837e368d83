// Tokens and raw bits of a step's samples: `tokenise` of residual/classes.h on vectors.
#pragma once
#include "residual/classes.h"
#include "residual/kernel/fixed_point.h"
#include "residual/kernel/stretch.h"

namespace latrans {
namespace {

struct Tokens {
    alignas(64) int32_t tokens[kLanes], lengths[kLanes], raw[kLanes];
};

// Position of the highest bit of values from 1 on.
inline V<uint32_t> highest_bit(V<uint32_t> value) {
    // Without the bit below it no rounding reaches the next power of two.
    const auto real = convert<float, width<int32_t>>(value & ~(value >> 1));
    return (bits<V<uint32_t>>(real) >> 23) - 127;
}

// Offsets are those of coded values from their centres.
template <class T>
void tokenise_step(const Answer<T> &a, const T *coded, Tokens &found) {
    using U = V<uint32_t>;
    using W = V<int32_t>;
    for (int b = 0; b < kLanes; b += width<int32_t>) {
        W distance;
        if constexpr (sizeof(T) == 4) {
            distance = load(coded + b) - load(a.centre + b);
        } else {
            alignas(64) int32_t lanes[width<int32_t>];
            for (int i = 0; i < width<int32_t>; ++i)
                lanes[i] = static_cast<int32_t>(static_cast<uint32_t>(coded[b + i]) -
                                                static_cast<uint32_t>(a.centre[b + i]));
            distance = load(lanes);
        }
        const W flip = load(a.flip + b), low_bits = load(a.low_bits + b);
        const U offset = select(flip != 0, U{} - bits<U>(distance), bits<U>(distance));
        const W quotient = bits<W>(offset) >> low_bits;
        const U zigzag = bits<U>(quotient) << 1 ^ bits<U>(quotient >> 31);
        const U exponent = highest_bit(zigzag | 1);
        const auto direct = zigzag < kDirect;
        const U code = (exponent - 5) * 4 + (zigzag >> ((exponent - 1) & 31) & 1) * 2 +
                       (zigzag & 1) + kDirect;
        const U n_middle = select(direct, U{}, exponent - 2);
        const U middle = (zigzag >> 1) & ((number<uint32_t>(1) << n_middle) - 1);
        const U low = offset & ((number<uint32_t>(1) << bits<U>(low_bits)) - 1);
        store(found.tokens + b, bits<W>(select(direct, zigzag, code)));
        store(found.lengths + b, bits<W>(n_middle) + low_bits);
        store(found.raw + b, bits<W>(middle << bits<U>(low_bits) | low));
    }
}

}  // namespace
}  // namespace latrans
