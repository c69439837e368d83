// Interleaved rANS: the compiled twin of coding/rans/reference.py, where the format is described.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "rans/interval.h"

namespace latrans {

// What is being decoded is damaged or cut short; becomes latrans.errors.CodecError.
struct Damaged : std::runtime_error {
    using std::runtime_error::runtime_error;
};

class RansEncoder {
public:
    explicit RansEncoder(size_t n_states) : states_(n_states, kLow) {}

    // Operations come last first.  The interval is not empty and lies within 2^bits <= 2^16.
    void push(size_t which, uint32_t start, uint32_t frequency, int bits) {
        uint32_t state = states_[which];
        if (state >= uint64_t{frequency} << (32 - bits)) state = shortened(state);
        const uint32_t quotient = state / frequency;
        states_[which] = (quotient << bits) + start + (state - quotient * frequency);
    }

    void push_raw(size_t which, uint32_t value, int bits) {
        uint32_t state = states_[which];
        if (state >> (32 - bits)) state = shortened(state);
        states_[which] = state << bits | value;
    }

    // For coders that keep states at hand: these, and where the next word goes, downwards.  There
    // is room for n words.
    uint32_t *states() { return states_.data(); }
    uint16_t *next(size_t n) {
        if (at_ < n) grow(n);
        return words_.get() + at_;
    }
    void set_next(const uint16_t *at) { at_ = static_cast<size_t>(at - words_.get()); }

    // States, then words in the order in which a decoder needs them, all little-endian.
    std::vector<uint8_t> finish() const {
        std::vector<uint8_t> data(4 * states_.size() + 2 * (size_ - at_));
        uint8_t *to = data.data();
        for (uint32_t state : states_)
            for (int bit = 0; bit < 32; bit += 8) *to++ = static_cast<uint8_t>(state >> bit);
        for (size_t i = at_; i < size_; ++i) {
            *to++ = static_cast<uint8_t>(words_[i]);
            *to++ = static_cast<uint8_t>(words_[i] >> 8);
        }
        return data;
    }

private:
    uint32_t shortened(uint32_t state) {
        if (at_ == 0) grow(1);
        words_[--at_] = static_cast<uint16_t>(state);
        return state >> 16;
    }

    void grow(size_t n) {
        const size_t used = size_ - at_, size = 2 * size_ + n + 64;
        std::unique_ptr<uint16_t[]> more(new uint16_t[size]);
        std::copy_n(words_.get() + at_, used, more.get() + size - used);
        words_ = std::move(more);
        at_ = size - used;
        size_ = size;
    }

    std::vector<uint32_t> states_;
    std::unique_ptr<uint16_t[]> words_;  // from at_ on
    size_t size_ = 0, at_ = 0;
};

class RansDecoder {
public:
    using Mark = std::pair<std::vector<uint32_t>, size_t>;

    RansDecoder(const uint8_t *data, size_t nbytes, size_t n_states) {
        if (nbytes < 4 * n_states || nbytes % 2)
            throw Damaged("entropy-coded section of " + std::to_string(nbytes) +
                          " bytes cannot hold " + std::to_string(n_states) + " states");
        for (size_t i = 0; i < n_states; ++i, data += 4)
            states_.push_back(data[0] | data[1] << 8 | data[2] << 16 | uint32_t{data[3]} << 24);
        n_words_ = (nbytes - 4 * n_states) / 2;
        words_.resize(n_words_ + kWordsBeyond);
        for (size_t i = 0; i < n_words_; ++i, data += 2)
            words_[i] = static_cast<uint16_t>(data[0] | data[1] << 8);
        for (uint32_t state : states_)
            if (state < kLow)
                throw Damaged("entropy-coded section starts with an impossible state");
    }

    size_t n_states() const { return states_.size(); }

    // For coders that keep states at hand; then how far they came.
    Stream stream() {
        const uint16_t *words = words_.data();
        return {states_.data(), static_cast<int>(states_.size()), words + at_, words + n_words_};
    }
    void go_on(const Stream &stream) {
        if (stream.at > stream.end) ended();
        at_ = static_cast<size_t>(stream.at - words_.data());
    }

    // Next symbol: `slots` maps 4096 slots to symbols, `intervals` describes symbols.
    template <class Slot>
    uint32_t pop(size_t which, const Slot *slots, const Interval *intervals) {
        const uint32_t state = states_[which], slot = state & (kProbabilities - 1);
        const uint32_t symbol = slots[slot];
        const Interval interval = intervals[symbol];
        renew(which, interval.frequency * (state >> kProbabilityBits) + slot - interval.start);
        return symbol;
    }

    // Which of two symbols is next; the first has `frequency`, 1 to 4095, of 4096.
    bool pop_second(size_t which, uint32_t frequency) {
        const uint32_t state = states_[which], slot = state & (kProbabilities - 1);
        const bool second = slot >= frequency;
        const uint32_t start = second ? frequency : 0;
        renew(which, (second ? kProbabilities - frequency : frequency) *
                             (state >> kProbabilityBits) + slot - start);
        return second;
    }

    // Next raw bits, 1 to 16.
    uint32_t pop_raw(size_t which, int bits) {
        const uint32_t state = states_[which];
        renew(which, state >> bits);
        return state & ((1u << bits) - 1);
    }

    void finish() const {
        bool ended = at_ == n_words_;
        for (uint32_t state : states_) ended &= state == kLow;
        if (!ended)
            throw Damaged("entropy-coded section does not end where its symbols do: damaged");
    }

    Mark mark() const { return {states_, at_}; }
    void rewind(const Mark &mark) {
        states_ = mark.first;
        at_ = mark.second;
    }

    std::mutex mutex;  // whoever pops without the GIL holds it

private:
    static void ended() { throw Damaged("entropy-coded section ends before its last symbol"); }

    // States never fall below kLow: one word brings back any state that was legal before.
    void renew(size_t which, uint32_t state) {
        if (state < kLow) {
            if (at_ == n_words_) ended();
            state = state << 16 | words_[at_++];
        }
        states_[which] = state;
    }

    std::vector<uint32_t> states_;
    std::vector<uint16_t> words_;
    size_t n_words_ = 0, at_ = 0;
};

}  // namespace latrans
