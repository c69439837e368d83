// The step kernel on what every machine of this architecture has.
#define LATRANS_KERNEL kernel_base
#define LATRANS_KERNEL_NAME "base"
#include "residual_loops.h"
