#include "residual/kernel/kernels.h"

#include "cpu.h"

namespace latrans {

extern const Kernel kernel_portable, kernel_avx2, kernel_avx512;

std::vector<const Kernel *> kernels() {
    std::vector<const Kernel *> usable;
#ifdef LATRANS_X86_LEVELS
    if (cpu() >= Cpu::avx512) usable.push_back(&kernel_avx512);
    if (cpu() >= Cpu::avx2) usable.push_back(&kernel_avx2);
#endif
    usable.push_back(&kernel_portable);
    return usable;
}

}  // namespace latrans
