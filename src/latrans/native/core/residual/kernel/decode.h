// Decoding of a strip: places of a step, symbols, samples.
#pragma once
#include "residual/kernel/canvas_update.h"
#include "residual/kernel/pop.h"
#include "residual/kernel/predict.h"

namespace latrans {
namespace {

// Offsets modulo 2^32 from tokens and raw bits; of larger values from damaged data the rest.
inline V<uint32_t> untokenised(V<int32_t> token, V<int32_t> low_bits, V<uint32_t> raw) {
    using U = V<uint32_t>;
    const U code = bits<U>(token) - kDirect, low = bits<U>(low_bits);
    // The exponent of tokens that are no codes is of no interest, but shifts stay below 32.
    const U exponent = ((code >> 2) + 5) & 31;
    const U mantissa = (code >> 1) & 1;
    const U large = (number<uint32_t>(1) << exponent) | mantissa << ((exponent - 1) & 31) |
                    raw >> low << 1 | (code & 1);
    const U zigzag = select(token < static_cast<int32_t>(kDirect), bits<U>(token), large);
    const U quotient = zigzag >> 1 ^ (U{} - (zigzag & 1));
    return quotient << low | (raw & ((number<uint32_t>(1) << low) - 1));
}

// Samples of a step into the canvas; false where one is out of range.
template <class T>
bool enter_popped(const Strip<T> &strip, const Popped &popped, bool has_raw, int64_t step,
                  int first, int last) {
    const Answer<T> &a = *strip.answer;
    const Scene<T> &scene = *strip.scene;
    using U = V<uint32_t>;
    alignas(64) uint32_t offsets[kLanes];
    for (int b = 0; b < kLanes; b += width<int32_t>) {
        const V<int32_t> token = load(popped.tokens + b);
        U offset;
        if (has_raw) {
            offset = untokenised(token, load(a.low_bits + b),
                                 bits<U>(load(popped.raw + b)));
        } else {
            offset = bits<U>(token) >> 1 ^ (U{} - (bits<U>(token) & 1));
        }
        store(offsets + b, select(load(a.flip + b) != 0, U{} - offset, offset));
    }
    alignas(64) T samples[kLanes];
    bool inside = true;
    if (sizeof(T) == 4) {
        for (int b = 0; b < kLanes; b += width<int32_t>) {
            U coded = bits<U>(load(reinterpret_cast<const int32_t *>(a.centre) + b)) +
                      load(offsets + b);
            if (scene.step > 1)
                coded = bits<U>(load(reinterpret_cast<const int32_t *>(a.anchor) + b)) +
                        coded * static_cast<uint32_t>(scene.step);
            store(reinterpret_cast<uint32_t *>(samples) + b, coded);
        }
    } else {
        for (int lane = 0; lane < kLanes; ++lane) {
            const uint32_t coded = static_cast<uint32_t>(a.centre[lane]) + offsets[lane];
            samples[lane] = static_cast<T>(static_cast<uint32_t>(
                static_cast<uint32_t>(a.anchor[lane]) +
                coded * static_cast<uint32_t>(scene.step)));
        }
    }
    if (first == 0 && last == kLanes) {
        using S = V<Unsigned<T>>;
        const S largest = number(static_cast<Unsigned<T>>(scene.largest));
        for (int b = 0; b < kLanes; b += width<T>)
            inside &= !any<T>(bits<S>(load(samples + b)) > largest);
    } else {
        for (int lane = first; lane < last; ++lane)
            inside &= static_cast<Unsigned<T>>(samples[lane]) <=
                      static_cast<Unsigned<T>>(scene.largest);
    }
    store_lanes(strip.samples + step * strip.stride, samples, first, last);
    return inside;
}

template <class T, class Source>
Outcome decode_steps(const Strip<T> &strip, const Tables &tables, Source &source,
                     const uint16_t *end) {
    const Answer<T> &a = *strip.answer;
    Popped popped{};
    return each_step(strip, [&](int64_t step, int first, int last) {
        if (!latrans::step(*strip.scene, step * strip.stride, first, last, *strip.answer))
            return Outcome::kTooNarrow;
        source.pop_tokens(tables, a.table, first, last, popped);
        bool has_raw = false;
        for (int b = 0; b < kLanes; b += width<int32_t>)
            has_raw |= any<int32_t>((load(popped.tokens + b) >= static_cast<int32_t>(kDirect)) |
                                    (load(a.low_bits + b) > 0));
        if (has_raw) pop_rest(source, a.low_bits, first, last, popped);
        if (source.at() > end) return Outcome::kTruncated;
        if (!enter_popped(strip, popped, has_raw, step, first, last)) return Outcome::kOutside;
        put(strip, step, first, last);
        return Outcome::kDone;
    });
}

template <class T>
Outcome decode(const Strip<T> &strip, const Tables &tables, Stream &stream) {
    const auto run = [&](auto source) {
        const Outcome outcome = decode_steps(strip, tables, source, stream.end);
        source.save(stream);
        return outcome;
    };
#if defined(LATRANS_AVX512)
    if (stream.n_states == kLanes) return run(WidePopper(stream));
#endif
    return run(Popper(stream));
}

}  // namespace
}  // namespace latrans
