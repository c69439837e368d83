// The planner's inner loops on what every machine of this architecture has.
#define LATRANS_FIT_KERNEL fit_portable
#define LATRANS_FIT_NAME "portable"
#include "residual/plan/fit_kernel.h"
