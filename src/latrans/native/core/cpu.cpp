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
    const bool avx2 = __builtin_cpu_supports("avx2");
    if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512vnni") &&
        __builtin_cpu_supports("avx512vbmi"))
        return Cpu::avx512;
    if (avx2) return Cpu::avx2;
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
