// All kernels for one instruction set.  A translation unit names the set (LATRANS_LEVEL, and what
// simd.h says) and includes this.
#include "kernels.h"
#include "maps/kernel.h"
#include "network/multiply.h"
#include "residual/kernel/contest.h"
#include "residual/kernel/decode.h"
#include "residual/kernel/push.h"
#include "residual/kernel/rows.h"
#include "residual/plan/fit_kernel.h"
#include "transform/kernel.h"
#include "values/kernel.h"

#define LATRANS_TABLE(level) LATRANS_TABLE_OF(level)
#define LATRANS_TABLE_OF(level) kernels_##level
#define LATRANS_LEVEL_NAME(level) LATRANS_LEVEL_TEXT(level)
#define LATRANS_LEVEL_TEXT(level) #level

namespace latrans {
namespace {

template <class T>
constexpr Loops<T> kLoops{&decode<T>,         &classify<T>,       &contest<T>,
                          &enter<T, int32_t>, &enter<T, int64_t>, &leave<T, int32_t>,
                          &leave_whole<T>};

}  // namespace

extern const Kernels LATRANS_TABLE(LATRANS_LEVEL);
const Kernels LATRANS_TABLE(LATRANS_LEVEL){
    {LATRANS_LEVEL_NAME(LATRANS_LEVEL), kLoops<int32_t>, kLoops<int64_t>, &within<int32_t>,
     &within<int64_t>, &take, &push},
    fit_kernel::kTable,
    values_kernel::kTable,
    transform_kernel::kTable,
    maps_kernel::kTable,
    &multiply,
};

}  // namespace latrans
