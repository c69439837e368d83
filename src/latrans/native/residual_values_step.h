// What the value coder's kernels are given.
#pragma once
#include <cstdint>

#include "residual_step.h"

namespace latrans {

struct ValueKernel {
    const char *name;
    // Inputs (n, kLanes) are in rows[0]; rows[1] is as large.  Fills the classes of kLanes lanes.
    void (*run)(const DenseLayer *layers, int n_layers, int n_classes, int32_t *const rows[2],
                int32_t *classes);
};

extern const ValueKernel values_base, values_avx2, values_avx512, values_vnni;

}  // namespace latrans
