// The step kernels that were compiled in, and those that this machine runs.
#pragma once
#include <vector>

#include "residual/kernel/strip.h"

namespace latrans {

// Up to the instruction set that is used (cpu.h), fastest first; never empty.
std::vector<const Kernel *> kernels();

}  // namespace latrans
