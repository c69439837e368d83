// The planner's inner loops that were compiled in.
#include <cstring>
#include <initializer_list>

#include "residual_fit_step.h"
#include "residual_levels.h"

namespace latrans {

extern const FitKernel fit_base, fit_avx2, fit_avx512, fit_vnni;

const FitKernel &fit_kernel(const char *name) {
#ifdef LATRANS_X86_LEVELS
    for (const FitKernel *kernel : {&fit_vnni, &fit_avx512, &fit_avx2})
        if (!std::strcmp(kernel->name, name)) return *kernel;
#endif
    static_cast<void>(name);
    return fit_base;
}

}  // namespace latrans
