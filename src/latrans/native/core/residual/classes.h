// Classes and tokens (residual/classes.py): how a table is chosen and an offset becomes a symbol.
#pragma once
#include <cstdint>

namespace latrans {

constexpr int kStepsPerOctave = 3;
constexpr int kPhased = 15;
constexpr int kScales = 27;
constexpr int kPhases = 4;
constexpr int kTails = 3;
constexpr int kTablesPerTail = kPhased * kPhases + kScales - kPhased;
constexpr int kTables = 1 + kTails * kTablesPerTail;
constexpr int kMaxScale = kScales + 3 * 25 - 1;
static_assert(kTables <= 256, "tables are stored as bytes");

constexpr uint32_t kDirect = 32;
constexpr uint32_t kTokens = kDirect + 4 * 27;
constexpr uint32_t kEscape = kTokens;
constexpr int kSymbols = kTokens + 1;
constexpr int kEscapeBits = 8;

constexpr int kMeanLimit = 255, kScaleLimit = 255, kTailLimit = 127, kGateLimit = 127;
constexpr int output_limit(int o) {
    return o == 0 ? kMeanLimit : o == 1 ? kScaleLimit : o == 2 ? kTailLimit : kGateLimit;
}

struct Token {
    uint32_t token, raw;
    int n_raw;
};

inline Token tokenise(int32_t offset, int low_bits) {
    const uint32_t low = static_cast<uint32_t>(offset) & ((1u << low_bits) - 1);
    const int32_t quotient = offset >> low_bits;
    const uint32_t sign = quotient < 0 ? ~0u : 0;
    const uint32_t zigzag = static_cast<uint32_t>(quotient) << 1 ^ sign;
    if (zigzag < kDirect) return {zigzag, low, low_bits};
    const int exponent = 31 - __builtin_clz(zigzag);
    const int n_middle = exponent - 2;
    const uint32_t middle = (zigzag >> 1) & ((1u << n_middle) - 1);
    const uint32_t mantissa = (zigzag >> (exponent - 1)) & 1;
    const uint32_t token =
        kDirect + 4 * static_cast<uint32_t>(exponent - 5) + 2 * mantissa + (zigzag & 1);
    return {token, middle << low_bits | low, n_middle + low_bits};
}

// Raw bits that follow a token; more than 32 only in damaged data.
inline int raw_length(uint32_t token, int low_bits) {
    return (token >= kDirect ? static_cast<int>(token - kDirect) / 4 + 3 : 0) + low_bits;
}

// Offset modulo 2^32.
inline uint32_t untokenise(uint32_t token, int low_bits, uint32_t raw) {
    uint64_t zigzag = token;
    if (token >= kDirect) {
        const uint32_t code = token - kDirect, exponent = code / 4 + 5;
        zigzag = uint64_t{1} << exponent | uint64_t{code >> 1 & 1} << (exponent - 1) |
                 uint64_t{raw >> low_bits} << 1 | (code & 1);
    }
    const uint64_t quotient = zigzag >> 1 ^ (uint64_t{0} - (zigzag & 1));
    return static_cast<uint32_t>(quotient << low_bits) | (raw & ((1u << low_bits) - 1));
}

}  // namespace latrans
