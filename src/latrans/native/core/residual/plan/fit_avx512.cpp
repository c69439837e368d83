// The planner's inner loops for x86-64 with AVX-512 and its VNNI part.
#include "cpu.h"
#ifdef LATRANS_X86_LEVELS
#pragma GCC target("avx2,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,prefer-vector-width=512")
#define LATRANS_FIT_AVX512
#define LATRANS_FIT_KERNEL fit_avx512
#define LATRANS_FIT_NAME "avx512"
#include "residual/plan/fit_kernel.h"
#endif
