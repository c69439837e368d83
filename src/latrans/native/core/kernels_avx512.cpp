// Kernels for x86-64 with AVX-512.
#include "cpu.h"
#ifdef LATRANS_X86_LEVELS
LATRANS_TARGET_AVX512
#define LATRANS_AVX512
#define LATRANS_LEVEL avx512
#include "kernel_table.h"
#endif
