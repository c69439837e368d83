// The transform's kernels that were compiled in.
#pragma once
#include "cpu.h"
#include "transform/job.h"

namespace latrans {

// The kernel for an instruction set, which this machine must have.
const TransformKernel &transform_kernel(Cpu level);

}  // namespace latrans
