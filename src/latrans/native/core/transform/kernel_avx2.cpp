// The transform's kernel for x86-64 with AVX2.
#include "cpu.h"
#ifdef LATRANS_X86_LEVELS
#pragma GCC target("avx2")
#define LATRANS_AVX2
#define LATRANS_KERNEL transform_avx2
#include "transform/kernel.h"
#endif
