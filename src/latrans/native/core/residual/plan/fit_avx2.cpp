// The planner's inner loops for x86-64 with AVX2.
#include "cpu.h"
#ifdef LATRANS_X86_LEVELS
#pragma GCC target("avx2")
#define LATRANS_FIT_AVX2
#define LATRANS_FIT_KERNEL fit_avx2
#define LATRANS_FIT_NAME "avx2"
#include "residual/plan/fit_kernel.h"
#endif
