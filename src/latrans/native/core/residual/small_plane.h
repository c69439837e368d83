// A small plane or track on its own, planned and encoded in one call: the twin of what
// residual/coder.py does with one piece that brings neither coefficients nor references.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "residual/coder.h"
#include "residual/table_map.h"

namespace latrans {

constexpr int64_t kSmallPlaneSamples = 1024;  // pieces from this on may bring coefficients

struct SmallPlaneSource {
    std::vector<int32_t> weights;   // the model's own coefficients
    int shift;                      // of these
    std::vector<int64_t> sigmas;    // mean error of each code
    std::vector<int> networks;      // of each expert, without references
    std::vector<int32_t> costs;     // (kTables, kTokens), in parts of a bit
    int32_t per_raw_bit;            // the same
    int32_t worth;                  // what naming another table must save
};

// Made once per model, used from many threads.
class SmallPlaneEncoder {
public:
    // Throws std::invalid_argument.
    SmallPlaneEncoder(std::shared_ptr<const Model> model, SmallPlaneSource source);

    struct Section {
        std::vector<uint8_t> header, body;
    };
    // Throws std::invalid_argument.
    Section encode(const int32_t *plane, int64_t rows, int64_t columns) const;

private:
    Job job(int64_t rows, int64_t columns) const;
    int64_t error(const int32_t *plane, const Schedule &schedule) const;

    std::shared_ptr<const Model> model_;
    SmallPlaneSource source_;
    std::vector<int> rivals_;  // networks, and none
    TableCosts costs_;
};

}  // namespace latrans
