// Symbols of a step out of a rANS stream, all lanes side by side where there are as many states.
//
// Whether the stream has ended is asked once a step: words beyond it may be looked at.
#pragma once
#include "residual/classes.h"
#include "residual/kernel/strip.h"
#include "simd.h"

namespace latrans {
namespace {

// What a step's symbols are: token, and raw bits from the lowest on.
struct Popped {
    alignas(64) int32_t tokens[kLanes];
    alignas(64) int32_t raw[kLanes];
};

// Any number of states.
class Popper {
public:
    explicit Popper(const Stream &stream) : at_(stream.at) {
        for (int i = 0; i < stream.n_states; ++i) states_[i] = stream.states[i];
        for (int lane = 0; lane < kLanes; ++lane)
            which_[lane] = static_cast<uint8_t>(lane % stream.n_states);
    }

    void save(Stream &stream) const {
        for (int i = 0; i < stream.n_states; ++i) stream.states[i] = states_[i];
        stream.at = at_;
    }
    const uint16_t *at() const { return at_; }

    void pop_tokens(const Tables &tables, const int32_t *classes, int first, int last,
                    Popped &popped) {
        for (int lane = first; lane < last; ++lane) {
            const int32_t table = tables.map[classes[lane]];
            const uint32_t state = states_[which_[lane]], slot = state & (kProbabilities - 1);
            const uint8_t *slots = tables.slots + static_cast<uint32_t>(table) * kProbabilities;
            const int32_t token = slots[slot];
            const Interval interval = tables.intervals[table * kSymbols + token];
            renew(lane, interval.frequency * (state >> kProbabilityBits) + slot - interval.start);
            popped.tokens[lane] = token;
        }
    }

    // 1 to 16 bits of each lane that has any.
    void pop_raw(const int32_t *n_bits, int first, int last, int32_t *raw) {
        for (int lane = first; lane < last; ++lane) {
            raw[lane] = 0;
            if (n_bits[lane] <= 0) continue;
            const uint32_t state = states_[which_[lane]];
            renew(lane, state >> n_bits[lane]);
            raw[lane] = static_cast<int32_t>(state & ((1u << n_bits[lane]) - 1));
        }
    }

private:
    // States never fall below kLow: one word brings back any state that was legal before.
    void renew(int lane, uint32_t state) {
        const bool low = state < kLow;
        states_[which_[lane]] = low ? state << 16 | *at_ : state;
        at_ += low;
    }

    uint32_t states_[kLanes];
    uint8_t which_[kLanes];
    const uint16_t *at_;
};

#if defined(LATRANS_AVX512)

// A state for every lane.
class WidePopper {
public:
    explicit WidePopper(const Stream &stream)
        : states_(_mm512_loadu_si512(stream.states)), at_(stream.at) {}

    void save(Stream &stream) const {
        _mm512_storeu_si512(stream.states, states_);
        stream.at = at_;
    }
    const uint16_t *at() const { return at_; }

    void pop_tokens(const Tables &tables, const int32_t *classes, int first, int last,
                    Popped &popped) {
        const __m512i table = _mm512_i32gather_epi32(_mm512_load_si512(classes), tables.map, 4);
        const __m512i slot = _mm512_and_si512(states_, _mm512_set1_epi32(kProbabilities - 1));
        const __m512i place = _mm512_add_epi32(_mm512_slli_epi32(table, kProbabilityBits), slot);
        // Three bytes more than the slot's; tables end with as many.
        const __m512i token = _mm512_and_si512(_mm512_i32gather_epi32(place, tables.slots, 1),
                                               _mm512_set1_epi32(255));
        const __m512i entry = _mm512_add_epi32(
            _mm512_mullo_epi32(table, _mm512_set1_epi32(kSymbols)), token);
        const __m512i interval = _mm512_i32gather_epi32(entry, tables.intervals, 4);
        const __m512i start = _mm512_and_si512(interval, _mm512_set1_epi32(0xFFFF));
        const __m512i product = _mm512_mullo_epi32(_mm512_srli_epi32(interval, 16),
                                                   _mm512_srli_epi32(states_, kProbabilityBits));
        renew(lanes(first, last),
              _mm512_add_epi32(product, _mm512_sub_epi32(slot, start)));
        _mm512_store_si512(popped.tokens, token);
    }

    void pop_raw(const int32_t *n_bits, int first, int last, int32_t *raw) {
        const __m512i n = _mm512_load_si512(n_bits);
        const __mmask16 some = _mm512_mask_cmpgt_epi32_mask(lanes(first, last), n,
                                                            _mm512_setzero_si512());
        const __m512i rest = _mm512_srlv_epi32(states_, n);
        const __m512i bits = _mm512_maskz_sub_epi32(some, states_, _mm512_sllv_epi32(rest, n));
        renew(some, rest);
        _mm512_store_si512(raw, bits);
    }

private:
    static __mmask16 lanes(int first, int last) {
        return static_cast<__mmask16>((1u << last) - (1u << first));
    }

    void renew(__mmask16 active, __m512i states) {
        const __mmask16 low = _mm512_mask_cmplt_epu32_mask(active, states,
                                                           _mm512_set1_epi32(kLow));
        const __m512i words = _mm512_cvtepu16_epi32(
            _mm256_loadu_si256(reinterpret_cast<const __m256i *>(at_)));
        const __m512i more = _mm512_or_si512(_mm512_slli_epi32(states, 16),
                                             _mm512_maskz_expand_epi32(low, words));
        states_ = _mm512_mask_blend_epi32(low, _mm512_mask_mov_epi32(states_, active, states),
                                          more);
        at_ += __builtin_popcount(low);
    }

    __m512i states_;
    const uint16_t *at_;
};

#endif

// Escaped tokens and raw bits that follow a step's tokens.
template <class Source>
void pop_rest(Source &source, const int32_t *low_bits, int first, int last, Popped &popped) {
    alignas(64) int32_t n_bits[kLanes], bits[kLanes];
    using W = V<int32_t>;
    bool escaped = false;
    for (int b = 0; b < kLanes; b += width<int32_t>) {
        const auto escape = load(popped.tokens + b) == static_cast<int32_t>(kEscape);
        store(n_bits + b, select(escape, number<int32_t>(kEscapeBits), W{}));
        escaped |= any<int32_t>(escape);
    }
    if (escaped) {
        source.pop_raw(n_bits, first, last, bits);
        for (int lane = first; lane < last; ++lane)
            if (n_bits[lane])
                popped.tokens[lane] = least(bits[lane], static_cast<int32_t>(kTokens) - 1);
    }
    alignas(64) int32_t lengths[kLanes];
    bool longer = false;
    for (int b = 0; b < kLanes; b += width<int32_t>) {
        const W token = load(popped.tokens + b);
        const W middle = select(token >= static_cast<int32_t>(kDirect),
                                ((token - static_cast<int32_t>(kDirect)) >> 2) + 3, W{});
        const W length = middle + load(low_bits + b);
        store(lengths + b, length);
        store(n_bits + b, least(length, number(16)));
        longer |= any<int32_t>(length > 16);
    }
    source.pop_raw(n_bits, first, last, popped.raw);
    if (!longer) return;
    for (int b = 0; b < kLanes; b += width<int32_t>)
        store(n_bits + b, clamp(load(lengths + b) - 16, W{}, number(16)));
    source.pop_raw(n_bits, first, last, bits);
    for (int lane = first; lane < last; ++lane)
        popped.raw[lane] = static_cast<int32_t>(static_cast<uint32_t>(popped.raw[lane]) |
                                                static_cast<uint32_t>(bits[lane]) << 16);
}

}  // namespace
}  // namespace latrans
