// The transform's kernel for this machine.
#include "transform/kernels.h"

namespace latrans {

const TransformKernel &transform_kernel(Cpu level) {
#if defined(LATRANS_X86_LEVELS) && !defined(__clang__)
    if (level == Cpu::avx512) return transform_avx512;
    if (level == Cpu::avx2) return transform_avx2;
#endif
    (void)level;
    return transform_portable;
}

}  // namespace latrans
