#include "maps/divisors.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace latrans {

namespace {

using Values = std::vector<uint64_t>;

uint64_t distance(int64_t a, int64_t b) {
    return static_cast<uint64_t>(a > b ? a - b : b - a);
}

// Values by how often they occur, ties in order; only the first `n_sorted` are in it.
std::vector<int64_t> most_frequent(const int64_t *distinct, const int64_t *counts, size_t n,
                                   size_t n_kept, size_t n_sorted) {
    std::vector<uint32_t> order(n);
    std::iota(order.begin(), order.end(), 0u);
    const auto before = [counts](uint32_t a, uint32_t b) {
        return counts[a] != counts[b] ? counts[a] > counts[b] : a < b;
    };
    const size_t kept = std::min(n, n_kept), sorted = std::min(kept, n_sorted);
    const auto at = [&order](size_t i) { return order.begin() + static_cast<ptrdiff_t>(i); };
    if (kept < n) std::nth_element(order.begin(), at(kept), order.end(), before);
    std::partial_sort(order.begin(), at(sorted), at(kept), before);
    std::vector<int64_t> values(kept);
    for (size_t i = 0; i < kept; ++i) values[i] = distinct[order[i]];
    return values;
}

bool misses_few(const int64_t *distinct, const int64_t *counts, size_t n, int64_t first,
                uint64_t divisor, int64_t most) {
    int64_t missed = 0;
    // Values ascend, so these two are farthest; narrow divisions take a third of the time.
    const uint64_t farthest =
        std::max(distance(distinct[0], first), distance(distinct[n - 1], first));
    if (farthest <= UINT32_MAX) {
        const auto by = static_cast<uint32_t>(divisor);
        for (size_t i = 0; i < n && missed <= most; ++i)
            if (static_cast<uint32_t>(distance(distinct[i], first)) % by != 0) missed += counts[i];
    } else {
        for (size_t i = 0; i < n && missed <= most; ++i)
            if (distance(distinct[i], first) % divisor != 0) missed += counts[i];
    }
    return missed <= most;
}

}  // namespace

bool may_share_divisor(const int64_t *distinct, const int64_t *counts, size_t n,
                       const DivisorSearch &search) {
    const auto frequent =
        most_frequent(distinct, counts, n, search.n_frequent,
                      std::max(search.n_references, search.n_paired));
    const size_t n_references = std::min(search.n_references, frequent.size());
    const size_t n_paired = std::min(search.n_paired, frequent.size());
    for (size_t r = 0; r < n_references; ++r) {
        const int64_t first = frequent[r];
        Values shared;
        for (size_t i = 0; i < n_paired; ++i)
            for (size_t j = i; j < n_paired; ++j)
                shared.push_back(std::gcd(distance(frequent[i], first), distance(frequent[j], first)));
        uint64_t all = 0;
        for (const int64_t value : frequent) {
            all = std::gcd(all, distance(value, first));
            if (all == 1) break;
        }
        shared.push_back(all);
        std::sort(shared.begin(), shared.end());
        shared.erase(std::unique(shared.begin(), shared.end()), shared.end());
        Values failed;  // what they divide misses as many samples, or more
        for (const uint64_t divisor : shared) {
            const auto divides = [divisor](uint64_t less) { return divisor % less == 0; };
            if (divisor <= 1 || std::any_of(failed.begin(), failed.end(), divides)) continue;
            if (misses_few(distinct, counts, n, first, divisor, search.most_missed)) return true;
            failed.push_back(divisor);
        }
    }
    return false;
}

}  // namespace latrans
