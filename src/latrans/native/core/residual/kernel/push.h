// Classes of a strip into a rANS stream, last first.
#pragma once
#include "residual/classes.h"
#include "residual/kernel/stretch.h"
#include "simd.h"

namespace latrans {
namespace {

// What a step adds, by lane.
struct Pushed {
    alignas(64) int32_t tokens[kLanes], lengths[kLanes], raw[kLanes];
    alignas(64) Interval intervals[kLanes];
};

// Any number of states.
class Pusher {
public:
    explicit Pusher(const Drain &drain) : at_(drain.at), reciprocals_(drain.reciprocals) {
        for (int i = 0; i < drain.n_states; ++i) states_[i] = drain.states[i];
        for (int lane = 0; lane < kLanes; ++lane)
            which_[lane] = static_cast<uint8_t>(lane % drain.n_states);
    }

    void save(Drain &drain) const {
        for (int i = 0; i < drain.n_states; ++i) drain.states[i] = states_[i];
        drain.at = at_;
    }

    void push_tokens(const Interval *intervals, int first, int last) {
        for (int lane = last; lane-- > first;) {
            const uint32_t frequency = intervals[lane].frequency;
            const uint32_t state = shortened(lane, kProbabilityBits, frequency);
            const uint32_t quotient = divided(state, frequency);
            states_[which_[lane]] = (quotient << kProbabilityBits) + intervals[lane].start +
                                    (state - quotient * frequency);
        }
    }

    // 1 to 16 bits of each lane that has any.
    void push_raw(const int32_t *n_bits, const int32_t *raw, int first, int last) {
        for (int lane = last; lane-- > first;)
            if (n_bits[lane] > 0)
                states_[which_[lane]] = shortened(lane, n_bits[lane], 1) << n_bits[lane] |
                                        static_cast<uint32_t>(raw[lane]);
    }

private:
    uint32_t divided(uint32_t state, uint32_t frequency) const {
#if defined(__SIZEOF_INT128__)
        __extension__ using Wide = unsigned __int128;
        return static_cast<uint32_t>(Wide{state} * reciprocals_[frequency] >> kReciprocalBits);
#else
        return state / frequency;
#endif
    }

    uint32_t shortened(int lane, int n_bits, uint32_t frequency) {
        const uint32_t state = states_[which_[lane]];
        if (state >> (32 - n_bits) < frequency) return state;
        *--at_ = static_cast<uint16_t>(state);
        return state >> 16;
    }

    uint32_t states_[kLanes];
    uint8_t which_[kLanes];
    uint16_t *at_;
    const uint64_t *reciprocals_;
};

#if defined(LATRANS_AVX512)

// A state for every lane.
class WidePusher {
public:
    explicit WidePusher(const Drain &drain)
        : states_(_mm512_loadu_si512(drain.states)), at_(drain.at) {}

    void save(Drain &drain) const {
        _mm512_storeu_si512(drain.states, states_);
        drain.at = at_;
    }

    void push_tokens(const Interval *intervals, int first, int last) {
        const __mmask16 active = lanes(first, last);
        const __m512i interval = _mm512_load_si512(intervals);
        const __m512i frequency = _mm512_srli_epi32(interval, 16);
        const __m512i start = _mm512_and_si512(interval, _mm512_set1_epi32(0xFFFF));
        const __mmask16 full = _mm512_mask_cmpge_epu32_mask(
            active, _mm512_srli_epi32(states_, 32 - kProbabilityBits), frequency);
        const __m512i state = shortened(full);
        // Quotients are below 2^20.  Three roundings take or add less than 2^-21 of them, so that
        // what is a little too small before is the quotient or one less.
        const __m512 share = _mm512_div_ps(_mm512_set1_ps(1 - 0x1p-21f),
                                           _mm512_cvtepi32_ps(frequency));
        const __m512i quotient =
            _mm512_cvttps_epu32(_mm512_mul_ps(_mm512_cvtepu32_ps(state), share));
        const __m512i rest = _mm512_sub_epi32(state, _mm512_mullo_epi32(quotient, frequency));
        const __mmask16 more = _mm512_cmpge_epu32_mask(rest, frequency);
        const __m512i pushed = _mm512_add_epi32(
            _mm512_slli_epi32(quotient, kProbabilityBits), _mm512_add_epi32(start, rest));
        const __m512i next = _mm512_sub_epi32(_mm512_set1_epi32(kProbabilities), frequency);
        states_ = _mm512_mask_mov_epi32(states_, active,
                                        _mm512_mask_add_epi32(pushed, more, pushed, next));
    }

    void push_raw(const int32_t *n_bits, const int32_t *raw, int first, int last) {
        const __m512i n = _mm512_load_si512(n_bits);
        const __mmask16 some = _mm512_mask_cmpgt_epi32_mask(lanes(first, last), n,
                                                            _mm512_setzero_si512());
        const __m512i top = _mm512_srlv_epi32(states_, _mm512_sub_epi32(_mm512_set1_epi32(32), n));
        const __m512i state = shortened(_mm512_mask_test_epi32_mask(some, top, top));
        states_ = _mm512_mask_or_epi32(states_, some, _mm512_sllv_epi32(state, n),
                                       _mm512_load_si512(raw));
    }

private:
    static __mmask16 lanes(int first, int last) {
        return static_cast<__mmask16>((1u << last) - (1u << first));
    }

    __m512i shortened(__mmask16 full) {
        const auto n = static_cast<unsigned>(__builtin_popcount(full));
        at_ -= n;
        _mm256_mask_storeu_epi16(at_, static_cast<__mmask16>((1u << n) - 1),
                                 _mm512_cvtepi32_epi16(_mm512_maskz_compress_epi32(full, states_)));
        return _mm512_mask_srli_epi32(states_, full, states_, 16);
    }

    __m512i states_;
    uint16_t *at_;
};

inline __m512i widened(const uint8_t *bytes) {
    return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i *>(bytes)));
}
inline __m512i widened(const uint16_t *words) {
    return _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(words)));
}

#endif

// Raw bits of a step's lanes, of which `which` have any.
template <class Target>
void push_raw_bits(Target &target, ClassBuffer &sink, unsigned which, int first, int last,
                   Pushed &pushed) {
#if defined(LATRANS_AVX512)
    const auto some = static_cast<__mmask16>(which);
    const __m512i most = _mm512_set1_epi32(16);
    sink.n_lengths -= static_cast<unsigned>(__builtin_popcount(which));
    const __m512i length = _mm512_maskz_expand_epi32(some, widened(sink.lengths + sink.n_lengths));
    const __mmask16 longer = _mm512_cmpgt_epi32_mask(length, most);
    alignas(64) int32_t n_bits[kLanes];
    if (longer) {
        sink.n_high -= static_cast<unsigned>(__builtin_popcount(longer));
        _mm512_store_si512(n_bits, _mm512_maskz_sub_epi32(longer, length, most));
        _mm512_store_si512(pushed.raw, _mm512_maskz_expand_epi32(
                                           longer, widened(sink.high + sink.n_high)));
        target.push_raw(n_bits, pushed.raw, first, last);
    }
    _mm512_store_si512(n_bits, _mm512_min_epi32(length, most));
    _mm512_store_si512(pushed.raw,
                       _mm512_maskz_expand_epi32(some, widened(sink.low + sink.n_lengths)));
    target.push_raw(n_bits, pushed.raw, first, last);
#else
    size_t n = 0;
    bool longer = false;
    for (int lane = first; lane < last; ++lane) n += which >> lane & 1;
    sink.n_lengths -= n;
    size_t next = sink.n_lengths;
    alignas(64) int32_t n_bits[kLanes] = {};
    for (int lane = first; lane < last; ++lane) {
        const bool has = which >> lane & 1;
        pushed.lengths[lane] = has ? sink.lengths[next] : 0;
        pushed.raw[lane] = has ? sink.low[next] : 0;
        n_bits[lane] = pushed.lengths[lane] > 16 ? pushed.lengths[lane] - 16 : 0;
        longer |= n_bits[lane] > 0;
        next += has;
    }
    if (longer) {
        alignas(64) int32_t high[kLanes] = {};
        for (int lane = last; lane-- > first;)
            if (n_bits[lane]) high[lane] = sink.high[--sink.n_high];
        target.push_raw(n_bits, high, first, last);
    }
    for (int lane = first; lane < last; ++lane)
        n_bits[lane] = pushed.lengths[lane] > 16 ? 16 : pushed.lengths[lane];
    target.push_raw(n_bits, pushed.raw, first, last);
#endif
}

// Tokens of a step, and the numbers of those that escape.
template <class Target>
void push_symbols(Target &target, const uint8_t *tokens, const uint8_t *classes,
                  const Tables &tables, int first, int last, Pushed &pushed) {
    bool escaped = false;
#if defined(LATRANS_AVX512)
    const auto active = static_cast<__mmask16>((1u << last) - (1u << first));
    const __m512i none = _mm512_setzero_si512(), token = widened(tokens - first);
    const __m512i row = _mm512_mullo_epi32(
        _mm512_mask_i32gather_epi32(none, active, widened(classes - first), tables.map, 4),
        _mm512_set1_epi32(kSymbols));
    __m512i interval = _mm512_mask_i32gather_epi32(
        none, active, _mm512_add_epi32(row, token), tables.intervals, 4);
    const __mmask16 escapes = _mm512_mask_cmpeq_epi32_mask(
        active, _mm512_srli_epi32(interval, 16), none);
    if (escapes) {
        escaped = true;
        _mm512_store_si512(pushed.tokens, token);
        interval = _mm512_mask_i32gather_epi32(
            interval, escapes, _mm512_add_epi32(row, _mm512_set1_epi32(kEscape)),
            tables.intervals, 4);
        _mm512_store_si512(pushed.lengths,
                           _mm512_maskz_set1_epi32(escapes, kEscapeBits));
    }
    _mm512_store_si512(pushed.intervals, interval);
#else
    for (int lane = first; lane < last; ++lane) {
        const Interval *row = tables.intervals + tables.map[classes[lane - first]] * kSymbols;
        pushed.tokens[lane] = tokens[lane - first];
        pushed.intervals[lane] = row[pushed.tokens[lane]];
        pushed.lengths[lane] = pushed.intervals[lane].frequency ? 0 : kEscapeBits;
        if (!pushed.lengths[lane]) continue;
        escaped = true;
        pushed.intervals[lane] = row[kEscape];
    }
#endif
    if (escaped) target.push_raw(pushed.lengths, pushed.tokens, first, last);
    target.push_tokens(pushed.intervals, first, last);
}

template <class Target>
void push_steps(const Extent &extent, int64_t begin, int64_t end, ClassBuffer &sink,
                const Tables &tables, Target &target) {
    Pushed pushed{};
    for (int64_t step = end; step > begin;) {
        const Stretch stretch = stretch_at(extent, step - 1);
        const int first = stretch.first, last = stretch.last;
        for (const int64_t stop = larger(begin, stretch.begin); step > stop; --step) {
            sink.n -= static_cast<size_t>(last - first);
            const unsigned which = sink.raw[--sink.n_steps];
            if (which) push_raw_bits(target, sink, which, first, last, pushed);
            push_symbols(target, sink.tokens + sink.n, sink.tables + sink.n, tables, first, last,
                         pushed);
        }
    }
}

inline void push(const Extent &extent, int64_t begin, int64_t end, ClassBuffer &sink,
                 const Tables &tables, Drain &drain) {
    const auto run = [&](auto target) {
        push_steps(extent, begin, end, sink, tables, target);
        target.save(drain);
    };
#if defined(LATRANS_AVX512)
    if (drain.n_states == kLanes) return run(WidePusher(drain));
#endif
    run(Pusher(drain));
}

}  // namespace
}  // namespace latrans
