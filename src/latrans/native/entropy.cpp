#include "bindings.h"

void bind_entropy(nanobind::module_ &) {}
