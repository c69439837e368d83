// Passes over arrays for x86-64 with AVX512.
#include "cpu.h"
#ifdef LATRANS_X86_LEVELS
#pragma GCC target("avx2,avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512")
#define LATRANS_AVX512
#define LATRANS_KERNEL field_avx512
#define LATRANS_KERNEL_NAME "avx512"
#include "maps/kernel.h"
#endif
