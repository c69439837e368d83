// Whether integers are best left as they are: the twin of what `candidate_maps` in maps/apply.py
// has for a few of them.
#pragma once
#include <cstddef>
#include <cstdint>

namespace latrans {

// Whether neither a common divisor (decimals.py) nor a palette (maps/base.py) may suit n >= 1 integers,
// up to 2^30 in magnitude.  False also where only a closer look can tell.
bool best_left_alone(const int32_t *values, size_t n);

}  // namespace latrans
