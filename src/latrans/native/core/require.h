// Invalid arguments: Python sees them as ValueErrors.
#pragma once
#include <stdexcept>

namespace latrans {

inline void require(bool holds, const char *what) {
    if (!holds) throw std::invalid_argument(what);
}

}  // namespace latrans
