// Kernels for x86-64 with AVX2.
#include "cpu.h"
#ifdef LATRANS_X86_LEVELS
LATRANS_TARGET_AVX2
#define LATRANS_AVX2
#define LATRANS_LEVEL avx2
#include "kernel_table.h"
#endif
