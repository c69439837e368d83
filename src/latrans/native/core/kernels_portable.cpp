// Kernels on what every machine of this architecture has.
#define LATRANS_LEVEL portable
#include "kernel_table.h"
