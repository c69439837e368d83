#include "bindings.h"

void bind_program(nanobind::module_ &) {}
