// About how many bytes the fallback would make of a little data: the twin of
// fallback/estimate_small.py.
#pragma once
#include <cstddef>
#include <cstdint>

namespace latrans {

// Of n bytes, items of `item_size` each.  Throws std::invalid_argument for more than 2^24 bytes, or
// for a part of an item.
int64_t estimate_nbytes(const uint8_t *data, size_t n, size_t item_size);

}  // namespace latrans
