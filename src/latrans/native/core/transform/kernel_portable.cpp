// The transform's kernel on what every machine of this architecture has.
#define LATRANS_KERNEL transform_portable
#include "transform/kernel.h"
