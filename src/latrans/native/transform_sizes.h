// Logarithms of magnitudes as network inputs: twin of `size` in transform/contexts.py.
#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <stdexcept>

namespace latrans {

inline int highest_bit(uint64_t value) {
#if defined(__GNUC__)
    return 63 - __builtin_clzll(value);
#else
    int n = 0;
    while (value >>= 1) ++n;
    return n;
#endif
}

class Sizes {
public:
    // logs: round(32 log2(1 + i / 64)) for i = 0 .. 63.
    Sizes(const int64_t *logs, size_t n) {
        if (n != logs_.size()) throw std::invalid_argument("the table of logarithms has 64 entries");
        std::copy(logs, logs + n, logs_.begin());
        for (size_t i = 0; i < small_.size(); ++i)
            small_[i] = static_cast<uint8_t>(computed(static_cast<int64_t>(i)));
    }

    // In 1/32 octave, of values from 1 to below 2^58.
    int64_t log2(int64_t value) const {
        const auto v = static_cast<uint64_t>(value);
        const int e = highest_bit(v);
        return 32 * e + logs_[((v << 6) >> e) - 64];
    }

    // Of four times a magnitude.
    int32_t operator()(int64_t quadrupled) const {
        return quadrupled < static_cast<int64_t>(small_.size())
                   ? small_[static_cast<size_t>(quadrupled)]
                   : computed(quadrupled);
    }

private:
    int32_t computed(int64_t quadrupled) const {
        return static_cast<int32_t>(std::min<int64_t>((log2(quadrupled + 4) - 64) >> 1, 127));
    }

    std::array<int64_t, 64> logs_;
    std::array<uint8_t, 4096> small_;
};

}  // namespace latrans
