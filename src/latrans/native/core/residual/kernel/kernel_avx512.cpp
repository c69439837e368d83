// The step kernel for x86-64 with AVX-512 and its VNNI and VBMI parts.
#include "cpu.h"
#ifdef LATRANS_X86_LEVELS
#pragma GCC target("avx2,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi")
#pragma GCC target("prefer-vector-width=512")
#define LATRANS_AVX512
#define LATRANS_KERNEL kernel_avx512
#define LATRANS_KERNEL_NAME "avx512"
#include "residual/kernel/loops.h"
#endif
