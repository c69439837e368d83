// The step kernel on what every machine of this architecture has.
#define LATRANS_KERNEL kernel_portable
#define LATRANS_KERNEL_NAME "portable"
#include "residual/kernel/loops.h"
