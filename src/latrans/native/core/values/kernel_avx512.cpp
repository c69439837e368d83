// The value coder's kernel for x86-64 with AVX-512 and its VNNI part.
#include "cpu.h"
#ifdef LATRANS_X86_LEVELS
#pragma GCC target("avx2,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,prefer-vector-width=512")
#define LATRANS_AVX512
#define LATRANS_KERNEL values_avx512
#define LATRANS_KERNEL_NAME "avx512"
#include "values/kernel.h"
#endif
