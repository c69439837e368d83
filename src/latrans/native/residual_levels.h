// Whether kernels for later instruction sets than the architecture's first are compiled in.
//
// Each such kernel is a translation unit of its own that starts with `#pragma GCC target`.  It
// includes nothing with functions that the linker might share with other units.
#pragma once
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(LATRANS_SCALAR)
#define LATRANS_X86_LEVELS 1
#endif

namespace latrans {
struct Kernel;
extern const Kernel kernel_portable, kernel_avx2, kernel_avx512;
}  // namespace latrans
