// Which table serves each class of a section: the twin of residual/table_map.py.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "residual/coder.h"

namespace latrans {

// What tokens cost in every table, made once per model and used from many threads.
class TableCosts {
public:
    // `costs` (kTables, kTokens) are whole parts of a bit; throws std::invalid_argument.
    TableCosts(const int32_t *costs, int32_t worth);

    // The cheapest table of every class that pays for naming it; all sums are exact.
    TableMap cheapest(const std::vector<std::shared_ptr<Classes>> &planes) const;

private:
    int32_t worth_;             // what naming another table must save
    std::vector<float> costs_;  // of each token by table, rows filled up
};

}  // namespace latrans
