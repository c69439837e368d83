// A network that names a class per lane, by its largest output; one copy per instruction set.
#include "residual_network.h"
#include "residual_values_step.h"

namespace latrans {
namespace {

void run_values(const DenseLayer *layers, int n_layers, int n_classes, int32_t *const rows[2],
                int32_t *classes) {
    int now = 0;
    for (int i = 0; i < n_layers; ++i, now ^= 1) {
        pair_up(rows[now], layers[i].n_in);
        run_layer(layers[i], rows[now], rows[now ^ 1]);
    }
    for (int b = 0; b < kLanes; b += width<int32_t>) {
        const int32_t *outputs = rows[now] + b;
        V<int32_t> largest = load(outputs), found = V<int32_t>{};
        for (int c = 1; c < n_classes; ++c) {
            const V<int32_t> output = load(outputs + c * kLanes);
            found = select(output > largest, number(c), found);
            largest = most(output, largest);
        }
        store(classes + b, found);
    }
}

}  // namespace

extern const ValueKernel LATRANS_KERNEL;
const ValueKernel LATRANS_KERNEL{LATRANS_KERNEL_NAME, &run_values};

}  // namespace latrans
