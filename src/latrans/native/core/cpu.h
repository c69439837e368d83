// Instruction sets that kernels are compiled for, and the one that is used.
//
// A kernel for a later set than the architecture's first is compiled in a translation unit of its
// own (kernels_avx2.cpp, kernels_avx512.cpp), which includes nothing with functions that the linker
// might share with other units.
#pragma once

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(LATRANS_SCALAR)
#define LATRANS_X86_LEVELS 1
#endif

// The parts of each set: what its unit is compiled for, and what a machine must have.  Those of
// AVX-512 are in processors since 2019.
#define LATRANS_AVX2_PARTS(part) part(avx2)
#define LATRANS_AVX512_PARTS(part)                                                          \
    LATRANS_AVX2_PARTS(part) part(avx512f) part(avx512bw) part(avx512cd) part(avx512dq)     \
        part(avx512vl) part(avx512vnni) part(avx512vbmi)

// Compile what follows for these parts.
#define LATRANS_TARGET_AVX2 LATRANS_TARGET("avx" LATRANS_AVX2_PARTS(LATRANS_NAMED))
#define LATRANS_TARGET_AVX512 \
    LATRANS_TARGET("prefer-vector-width=512" LATRANS_AVX512_PARTS(LATRANS_NAMED))
#define LATRANS_TARGET(...) LATRANS_PRAGMA(GCC target(__VA_ARGS__))
#define LATRANS_PRAGMA(text) _Pragma(#text)
#define LATRANS_NAMED(part) , #part

namespace latrans {

enum class Cpu { portable, avx2, avx512 };

// The best that this machine runs; a lesser one where the environment variable LATRANS_CPU names
// it.  Decided once.
Cpu cpu();
Cpu best_cpu();
const char *name(Cpu level);

}  // namespace latrans
