#include "cpu.h"

#include <cstdlib>
#include <cstring>
#include <initializer_list>

namespace latrans {

namespace {

Cpu chosen_cpu() {
    const char *asked = std::getenv("LATRANS_CPU");
    for (Cpu level : {Cpu::portable, Cpu::avx2, Cpu::avx512})
        if (asked && !std::strcmp(asked, name(level)) && level <= best_cpu()) return level;
    return best_cpu();  // Python refuses other names before anything is run
}

}  // namespace

Cpu best_cpu() {
#ifdef LATRANS_X86_LEVELS
    __builtin_cpu_init();
#define LATRANS_SUPPORTED(part) &&__builtin_cpu_supports(#part)
    if (true LATRANS_AVX512_PARTS(LATRANS_SUPPORTED)) return Cpu::avx512;
    if (true LATRANS_AVX2_PARTS(LATRANS_SUPPORTED)) return Cpu::avx2;
#undef LATRANS_SUPPORTED
#endif
    return Cpu::portable;
}

Cpu cpu() {
    static const Cpu level = chosen_cpu();
    return level;
}

const char *name(Cpu level) {
    switch (level) {
        case Cpu::avx512: return "avx512";
        case Cpu::avx2: return "avx2";
        default: return "portable";
    }
}

}  // namespace latrans
