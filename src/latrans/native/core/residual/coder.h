// Classes on the way in, samples on the way out: the twin of residual/reference.py.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "rans/coder.h"
#include "residual/class_buffer.h"
#include "residual/classes.h"
#include "residual/plane.h"
#include "residual/samples_view.h"

namespace latrans {

// For every class the table that stands for it in a section.
using TableMap = std::array<int32_t, kTables>;

struct Classified {
    std::shared_ptr<Classes> classes;
    std::shared_ptr<Coded> coded;
};

// Throws std::invalid_argument where a sample lies outside of the job's range.
Classified classify(const Model &model, Job job, SamplesView plane);

struct Contested {
    std::vector<int64_t> totals;                    // of each network
    std::vector<std::shared_ptr<Classes>> classes;  // of each, where asked for; empty where narrow
};

// What each of some networks (-1 for none) makes of the plane: by class and token the given costs,
// (kTables, kTokens), and for each raw bit another.  All see as many references as the job's own.
Contested contest(const Model &model, Job job, SamplesView plane, const std::vector<int> &networks,
                  const int32_t *costs, int32_t per_raw_bit, bool with_classes = false);

// Adds how often each token meets each class to (kTables, kTokens) counts; returns the raw bits.
int64_t count(const Classes &classes, int64_t *counts);

std::vector<uint8_t> encode(const Model &model, const std::vector<std::shared_ptr<Classes>> &planes,
                            const TableMap &map, size_t n_states);

// Throws Damaged.  `firsts` are a track's first samples, one per lane, else null.
std::shared_ptr<Coded> decode(const Model &model, const Job &job, const TableMap &map,
                              RansDecoder &decoder, const int32_t *firsts);

}  // namespace latrans
