// The transform's kernel for one instruction set; included by one translation unit for each.
#include "transform/classify.h"
#include "transform/lift.h"
#include "transform/predict.h"
#include "transform/read.h"

namespace latrans {

extern const TransformKernel LATRANS_KERNEL;
const TransformKernel LATRANS_KERNEL{&read_band,
                                     &place_inputs,
                                     &classify_band,
                                     &predict_band,
                                     &largest<int32_t>,
                                     &largest<int64_t>,
                                     &lift<int32_t, uint32_t>,
                                     &lift<int64_t, uint64_t>};

}  // namespace latrans
