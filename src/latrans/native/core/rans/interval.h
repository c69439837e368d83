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

// A stream in the middle.  Reading `kWordsBeyond` words beyond its end is harmless, and damage.
struct Stream {
    uint32_t *states;
    int n_states;
    const uint16_t *at, *end;
};
constexpr int kWordsBeyond = 96;

}  // namespace latrans
