#include "bindings.h"
#include "cpu.h"

NB_MODULE(_native, module) {
    module.doc() = "Compiled twins of latrans' reference kernels; equal to them bit for bit.";
    // Threads that still hold objects when the interpreter ends are no leak.
    nanobind::set_leak_warnings(false);
    bind_maps(module);
    bind_two_layer(module);
    module.def("cpu", [] { return latrans::name(latrans::cpu()); });
    module.def("best_cpu", [] { return latrans::name(latrans::best_cpu()); });
    bind_program(module);
    bind_entropy(module);
    bind_residual(module);
    bind_section(module);
    bind_small_plane(module);
    bind_table_map(module);
    bind_trials(module);
    bind_values(module);
    bind_transform(module);
    bind_wavelet(module);
    bind_fallback(module);
}
