// What is compiled once per instruction set: a table of functions for each, of which one is chosen.
#pragma once
#include <string>
#include <vector>

#include "cpu.h"
#include "maps/passes.h"
#include "network/multiply.h"
#include "residual/kernel/strip.h"
#include "residual/plan/fit_step.h"
#include "transform/job.h"
#include "values/step.h"

namespace latrans {

struct Kernels {
    Kernel residual;
    FitKernel fit;
    ValueKernel values;
    TransformKernel transform;
    MapKernel maps;
    Multiply multiply;
};

// Those of an instruction set, which this machine must have.
const Kernels &kernels_of(Cpu level);

// Those of the set that is used (cpu.h).
const Kernels &kernels();

// Those of a set by its name, up to the one that is used, which is meant by ""; null for others.
const Kernels *kernels(const std::string &name);

// Of the sets up to the one that is used, fastest first.
std::vector<const char *> kernel_names();

}  // namespace latrans
