// Passes over arrays on what every machine of this architecture has.
#define LATRANS_KERNEL field_portable
#define LATRANS_KERNEL_NAME "portable"
#include "maps/kernel.h"
