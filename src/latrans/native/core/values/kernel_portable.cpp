// The value coder's kernel on what every machine of this architecture has.
#define LATRANS_KERNEL values_portable
#define LATRANS_KERNEL_NAME "portable"
#include "values/kernel.h"
