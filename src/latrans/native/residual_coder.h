// Classes on the way in, samples on the way out: the twin of residual/reference.py.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "entropy_rans.h"
#include "residual_plane.h"

namespace latrans {

// What the entropy coder needs of every sample, in coding order.
struct Classes {
    Schedule schedule;
    std::vector<uint8_t> table, low_bits;
    std::vector<int32_t> offset;  // already mirrored
};

struct Classified {
    std::shared_ptr<Classes> classes;
    std::shared_ptr<Coded> coded;
};

// Throws std::invalid_argument where a sample lies outside of the job's range.
Classified classify(const Model &model, const Job &job, const int32_t *plane);

std::vector<uint8_t> encode(const Model &model, const std::vector<std::shared_ptr<Classes>> &planes,
                            size_t n_states);

// Throws Damaged.  `firsts` are a track's first samples, one per lane, else null.
std::shared_ptr<Coded> decode(const Model &model, const Job &job, RansDecoder &decoder,
                              const int32_t *firsts);

}  // namespace latrans
