// What rANS coders share, without anything that a linker might share between instruction sets.
#pragma once
#include <cstdint>

namespace latrans {

constexpr uint32_t kLow = 1u << 16;  // states stay in [kLow, 2^32)
constexpr int kProbabilityBits = 12;
constexpr uint32_t kProbabilities = 1u << kProbabilityBits;

// Slots [start, start + frequency) of 4096; a frequency of 0 means the symbol cannot be coded.
struct Interval {
    uint16_t start, frequency;
};

}  // namespace latrans
