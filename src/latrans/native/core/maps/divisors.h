// Whether integers share a divisor: the quick half of maps/decimals.py `_divisor`.
#pragma once
#include <cstddef>
#include <cstdint>

namespace latrans {

struct DivisorSearch {
    size_t n_frequent;    // of the most frequent values are looked at
    size_t n_references;  // of these are what distances are taken from
    size_t n_paired;      // of these give divisors by pairs
    int64_t most_missed;  // samples that a divisor may miss
};

// Whether a divisor above 1 of what most values lie apart may be worth dividing by.  `distinct`
// values ascend, within 2^61 of zero; `counts` says how often each occurs.
bool may_share_divisor(const int64_t *distinct, const int64_t *counts, size_t n,
                       const DivisorSearch &search);

}  // namespace latrans
