// The transform's kernel for x86-64 with AVX512 and its VNNI part.
#include "cpu.h"
#ifdef LATRANS_X86_LEVELS
#pragma GCC target("avx2,avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx512vnni,prefer-vector-width=512")
// Intrinsics of GCC 12 pass on registers that no one has set, on purpose.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#define LATRANS_AVX512
#define LATRANS_KERNEL transform_avx512
#include "transform_kernel.h"
#endif
