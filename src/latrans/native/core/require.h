// Arguments that are none: nanobind makes them ValueErrors.
#pragma once
#include <stdexcept>

namespace latrans {

inline void require(bool holds, const char *what) {
    if (!holds) throw std::invalid_argument(what);
}

}  // namespace latrans
