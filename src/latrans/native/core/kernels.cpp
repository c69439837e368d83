#include "kernels.h"

namespace latrans {

extern const Kernels kernels_portable, kernels_avx2, kernels_avx512;

const Kernels &kernels_of(Cpu level) {
#ifdef LATRANS_X86_LEVELS
    if (level == Cpu::avx512) return kernels_avx512;
    if (level == Cpu::avx2) return kernels_avx2;
#endif
    static_cast<void>(level);
    return kernels_portable;
}

const Kernels &kernels() { return kernels_of(cpu()); }

const Kernels *kernels(const std::string &wanted) {
    if (wanted.empty()) return &kernels();
    for (Cpu level : {Cpu::portable, Cpu::avx2, Cpu::avx512})
        if (level <= cpu() && wanted == name(level)) return &kernels_of(level);
    return nullptr;
}

std::vector<const char *> kernel_names() {
    std::vector<const char *> names;
    for (Cpu level : {Cpu::avx512, Cpu::avx2, Cpu::portable})
        if (level <= cpu()) names.push_back(name(level));
    return names;
}

}  // namespace latrans
