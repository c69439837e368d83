// The stream of a transform's bands: rANS as in entropy_rans.h, read by kernels in place.
#pragma once
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "entropy_rans.h"
#include "transform_job.h"

namespace latrans {

class TransformReader {
public:
    TransformReader(const uint8_t *data, size_t nbytes, size_t n_states)
        : data_(data, data + nbytes), n_states_(n_states) {
        if (n_states < 1 || n_states > kTransformLanes)
            throw std::invalid_argument("n_states out of range");
        if (nbytes < 4 * n_states || nbytes % 2)
            throw Damaged("entropy-coded section of " + std::to_string(nbytes) +
                          " bytes cannot hold " + std::to_string(n_states) + " states");
        cursor_ = {};
        for (size_t i = 0; i < n_states; ++i) {
            const uint8_t *at = data_.data() + 4 * i;
            cursor_.states[i] = at[0] | at[1] << 8 | at[2] << 16 | uint32_t{at[3]} << 24;
            if (cursor_.states[i] < kLow)
                throw Damaged("entropy-coded section starts with an impossible state");
        }
        cursor_.words = data_.data() + 4 * n_states;
        cursor_.n_words = (nbytes - 4 * n_states) / 2;
    }
    TransformReader(const TransformReader &) = delete;

    size_t n_states() const { return n_states_; }
    TransformCursor &cursor() { return cursor_; }

    // Raw bits from the first state, 1 to 16.
    uint32_t raw(int bits) {
        const uint32_t state = cursor_.states[0];
        renew(state >> bits);
        return state & ((1u << bits) - 1);
    }
    // A symbol of these frequencies, which sum to 4096, from the first state.
    uint32_t symbol(const uint16_t *frequencies) {
        const uint32_t state = cursor_.states[0], slot = state & (kProbabilities - 1);
        uint32_t found = 0, start = 0;
        while (slot >= start + frequencies[found]) start += frequencies[found++];
        renew(frequencies[found] * (state >> kProbabilityBits) + slot - start);
        return found;
    }
    void finish() const {
        bool ended = cursor_.at == cursor_.n_words;
        for (size_t i = 0; i < n_states_; ++i) ended &= cursor_.states[i] == kLow;
        if (!ended)
            throw Damaged("entropy-coded section does not end where its symbols do: damaged");
    }
    static void ended() { throw Damaged("entropy-coded section ends before its last symbol"); }

    std::mutex mutex;  // whoever reads without the GIL holds it

private:
    void renew(uint32_t state) {
        if (state < kLow) {
            if (cursor_.at == cursor_.n_words) ended();
            const uint8_t *word = cursor_.words + 2 * cursor_.at++;
            state = state << 16 | word[0] | static_cast<uint32_t>(word[1]) << 8;
        }
        cursor_.states[0] = state;
    }

    std::vector<uint8_t> data_;
    size_t n_states_;
    TransformCursor cursor_;
};

// Zeroed memory, given back at once.
class Arena final : public TransformArena {
public:
    void *take(size_t nbytes) override {
        constexpr size_t align = 64;
        parts_.emplace_back(new uint8_t[nbytes + align]());
        const auto at = reinterpret_cast<uintptr_t>(parts_.back().get());
        return parts_.back().get() + (align - at % align) % align;
    }

private:
    std::vector<std::unique_ptr<uint8_t[]>> parts_;
};

}  // namespace latrans
