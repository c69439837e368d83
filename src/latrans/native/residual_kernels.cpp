// The step kernels that were compiled in, and those that this machine runs.
#include "residual_kernels.h"

#include "residual_levels.h"

namespace latrans {

std::vector<const Kernel *> kernels() {
    std::vector<const Kernel *> usable;
#ifdef LATRANS_X86_LEVELS
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vbmi"))
        usable.push_back(&kernel_avx512);
    if (__builtin_cpu_supports("avx2")) usable.push_back(&kernel_avx2);
#endif
    usable.push_back(&kernel_portable);
    return usable;
}

}  // namespace latrans
