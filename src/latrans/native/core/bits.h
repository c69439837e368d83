// Position of the highest set bit.
#pragma once
#include <cstdint>

namespace latrans {

// Bits that a value needs; 0 for 0.
inline int bit_length(uint64_t value) {
#if defined(__GNUC__)
    return value ? 64 - __builtin_clzll(value) : 0;
#else
    int n = 0;
    for (; value; value >>= 1) ++n;
    return n;
#endif
}

}  // namespace latrans
