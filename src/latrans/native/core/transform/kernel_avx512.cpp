// The transform's kernel for x86-64 with AVX512 and its VNNI part.
#include "cpu.h"
#ifdef LATRANS_X86_LEVELS
#pragma GCC target("avx2,avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx512vnni")
#pragma GCC target("prefer-vector-width=512")
#define LATRANS_AVX512
#define LATRANS_KERNEL transform_avx512
#include "transform/kernel.h"
#endif
