// The value coder's kernel on what every machine of this architecture has.
#define LATRANS_KERNEL values_base
#define LATRANS_KERNEL_NAME "base"
#include "residual_values_kernel.h"
