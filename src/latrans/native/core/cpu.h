// Instruction sets that kernels are compiled for, and the one that is used.
//
// A kernel for a later set than the architecture's first is compiled by `#pragma GCC target` in a
// translation unit of its own, which includes nothing with functions that the linker might share
// with other units; or by LATRANS_BY_CPU, for a single function.
#pragma once

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(LATRANS_SCALAR)
#define LATRANS_X86_LEVELS 1
#endif

namespace latrans {

// The last with its parts BW, CD, DQ, VL, VNNI and VBMI, as processors have them since 2019.
enum class Cpu { portable, avx2, avx512 };

// The best that this machine runs; a lesser one where the environment variable LATRANS_CPU names
// it.  Decided once.
Cpu cpu();
Cpu best_cpu();
const char *name(Cpu level);

}  // namespace latrans

// Defines `result name params` as the inline function name_body, compiled for every set.
#ifdef LATRANS_X86_LEVELS
#define LATRANS_AVX512_TARGET \
    "avx2,avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx512vnni,avx512vbmi"
#define LATRANS_BY_CPU(result, name, params, args)                                             \
    __attribute__((target(LATRANS_AVX512_TARGET))) result name##_avx512 params {               \
        return name##_body args;                                                               \
    }                                                                                          \
    __attribute__((target("avx2"))) result name##_avx2 params { return name##_body args; }     \
    result name params {                                                                       \
        switch (latrans::cpu()) {                                                              \
            case latrans::Cpu::avx512: return name##_avx512 args;                              \
            case latrans::Cpu::avx2: return name##_avx2 args;                                  \
            default: return name##_body args;                                                  \
        }                                                                                      \
    }
#define LATRANS_BODY inline __attribute__((always_inline))
#else
#define LATRANS_BY_CPU(result, name, params, args) \
    result name params { return name##_body args; }
#define LATRANS_BODY inline
#endif
