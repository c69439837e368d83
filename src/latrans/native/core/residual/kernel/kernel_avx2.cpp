// The step kernel for x86-64 with AVX2.
#include "cpu.h"
#ifdef LATRANS_X86_LEVELS
#pragma GCC target("avx2")
#define LATRANS_AVX2
#define LATRANS_KERNEL kernel_avx2
#define LATRANS_KERNEL_NAME "avx2"
#include "residual/kernel/loops.h"
#endif
