#include "bindings.h"

void bind_residual(nanobind::module_ &) {}
