// What the value coder's kernels are given: dense layers over words of a few inputs each.
//
// Kernels differ in how many inputs share an int32.  With four they are bytes, the input minus
// `base` of its layer, which the bias has taken in; with two they are int16, and `base` is 0.
// `Program.check` bounds sums below 2^24, whatever the input.
#pragma once
#include <cstdint>

#include "residual/kernel/step.h"

namespace latrans {

struct ValueLayer {
    int n_words, n_out;      // n_out is a multiple of kLanes; the last ones are zeros
    const int32_t *weights;  // (n_out / block, n_words, block)
    const int32_t *columns;  // the same weights, (n_words, n_out)
    const int32_t *bias, *shift;  // bias: with half a unit of the outputs on top
    int32_t lo, hi;
    int32_t next_base;  // of the layer that takes the outputs
};

struct ValueKernel {
    int group;                // inputs of a word
    int block;                // outputs whose weights stand together, at most kLanes
    const ValueKernel *wide;  // for inputs that are no bytes; null where that is this one

    // Classes of kLanes sites: the largest output, the first of equals.  Of every input there are
    // kLanes bytes, also of those that fill up the last word; rows[0] and rows[1] have room for
    // the widest layer.
    void (*sites)(const ValueLayer *layers, int n_layers, int n_classes,
                  const uint8_t *const *inputs, int32_t *const rows[2], int32_t *classes);

    // Outputs of one site, whose words are in rows[0]; returns where they are.
    const int32_t *(*one)(const ValueLayer *layers, int n_layers, int32_t *const rows[2]);

    // Place of the largest of n outputs, the first of equals.
    int (*largest)(const int32_t *outputs, int n);
};

// A word of inputs, the first in its lowest bits.  Each instruction set has a copy of its own.
static inline int32_t value_word(const int32_t *values, int n, int group, int32_t base) {
    const int bits = 32 / group;
    uint32_t word = 0;
    for (int i = 0; i < n; ++i)
        word |= (static_cast<uint32_t>(values[i] - base) & ((1u << bits) - 1)) << (bits * i);
    return static_cast<int32_t>(word);
}

}  // namespace latrans
