// Every native part registers its functions with the one extension module `latrans._native`.
#pragma once
#include <nanobind/nanobind.h>

void bind_maps(nanobind::module_ &module);
void bind_two_layer(nanobind::module_ &module);
void bind_program(nanobind::module_ &module);
void bind_entropy(nanobind::module_ &module);
void bind_residual(nanobind::module_ &module);
void bind_section(nanobind::module_ &module);
void bind_small_plane(nanobind::module_ &module);
void bind_table_map(nanobind::module_ &module);
void bind_trials(nanobind::module_ &module);
void bind_values(nanobind::module_ &module);
void bind_transform(nanobind::module_ &module);
void bind_wavelet(nanobind::module_ &module);
void bind_fallback(nanobind::module_ &module);
