// Passes over arrays on what every machine of this architecture has.
#define LATRANS_KERNEL field_base
#define LATRANS_KERNEL_NAME "base"
#include "field_kernel.h"
