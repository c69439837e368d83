// The loops over strips for one instruction set.  A translation unit names the set and the kernel
// (LATRANS_KERNEL) and includes this.
#pragma once
#include "residual/kernel/contest.h"
#include "residual/kernel/decode.h"
#include "residual/kernel/push.h"
#include "residual/kernel/rows.h"

namespace latrans {
namespace {

template <class T>
constexpr Loops<T> kLoops{&decode<T>,         &classify<T>,       &contest<T>,
                          &enter<T, int32_t>, &enter<T, int64_t>, &leave<T, int32_t>,
                          &leave_whole<T>};

}  // namespace

extern const Kernel LATRANS_KERNEL;
const Kernel LATRANS_KERNEL{LATRANS_KERNEL_NAME, kLoops<int32_t>,  kLoops<int64_t>,
                            &within<int32_t>,    &within<int64_t>, &take, &push};

}  // namespace latrans
