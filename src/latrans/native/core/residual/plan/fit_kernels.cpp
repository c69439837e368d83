// The planner's inner loops that were compiled in.
#include <cstring>
#include <initializer_list>

#include "cpu.h"
#include "residual/plan/fit_step.h"

namespace latrans {

extern const FitKernel fit_portable, fit_avx2, fit_avx512;

const FitKernel &fit_kernel(const char *name) {
#ifdef LATRANS_X86_LEVELS
    for (const FitKernel *kernel : {&fit_avx512, &fit_avx2})
        if (!std::strcmp(kernel->name, name)) return *kernel;
#endif
    static_cast<void>(name);
    return fit_portable;
}

}  // namespace latrans
