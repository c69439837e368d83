// Classes and finished planes that were found elsewhere, on another device, taken over as arrays.
#pragma once
#include <cstdint>
#include <memory>

#include "residual/class_buffer.h"
#include "residual/job.h"

namespace latrans {

// Classes of a plane, (rows, columns) each.  Throws std::invalid_argument where the schedule is
// impossible or there is no such class.
std::shared_ptr<Classes> imported_classes(const Model &model, const Schedule &schedule,
                                       const ImportedRows &rows);

// A plane for the planner to refer to: samples (rows, columns) alone.  Throws
// std::invalid_argument where the schedule is impossible or a sample lies outside of lo .. hi.
std::shared_ptr<Coded> imported_plane(const Schedule &schedule, SamplesView samples, int32_t lo,
                                   int32_t hi);

}  // namespace latrans
