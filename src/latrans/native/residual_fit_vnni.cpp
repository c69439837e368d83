// The planner's inner loops for x86-64 with AVX512 and its VNNI part.
#include "residual_levels.h"
#ifdef LATRANS_X86_LEVELS
#pragma GCC target("avx2,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,prefer-vector-width=512")
#define LATRANS_FIT_AVX512
#define LATRANS_FIT_VNNI
#define LATRANS_FIT_KERNEL fit_vnni
#define LATRANS_FIT_NAME "vnni"
#include "residual_fit_kernel.h"
#endif
