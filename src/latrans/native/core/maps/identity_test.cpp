#include "maps/identity_test.h"

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <utility>
#include <vector>

namespace latrans {

namespace {

constexpr size_t kReferences = 2, kPaired = 8;  // of the most frequent values
constexpr int64_t kMostPalette = 1 << 16;
constexpr int64_t kLimit = 1 << 30;

struct Counted {
    int32_t value;
    uint32_t times;
};

std::vector<Counted> distinct(const int32_t *values, size_t n) {
    std::vector<int32_t> sorted(values, values + n);
    std::sort(sorted.begin(), sorted.end());
    std::vector<Counted> found;
    for (const int32_t value : sorted) {
        if (found.empty() || found.back().value != value) found.push_back({value, 0});
        ++found.back().times;
    }
    return found;
}

// Whether at most a quarter of the samples lies off the grid of a divisor from 2 on.
bool may_divide(const std::vector<Counted> &all, int64_t first, int64_t divisor, size_t n) {
    size_t off = 0;
    for (const Counted &one : all) {
        if ((one.value - first) % divisor) off += one.times;
        if (4 * off > n) return false;
    }
    return true;
}

}  // namespace

bool best_left_alone(const int32_t *values, size_t n) {
    const auto all = distinct(values, n);
    const int64_t lo = all.front().value, hi = all.back().value;
    if (lo < -kLimit || hi >= kLimit) return false;
    const int64_t few = std::min({kMostPalette, std::max<int64_t>(1, (hi - lo + 1) / 4),
                                  std::max<int64_t>(1, static_cast<int64_t>(n) / 4)});
    if (static_cast<int64_t>(all.size()) <= few) return false;
    const size_t n_near = std::min(kPaired, all.size());
    std::vector<Counted> near(n_near);
    std::partial_sort_copy(all.begin(), all.end(), near.begin(), near.end(),
                           [](const Counted &a, const Counted &b) {
                               return a.times != b.times ? a.times > b.times : a.value < b.value;
                           });
    for (size_t i = 0; i < std::min(kReferences, n_near); ++i) {
        const int64_t first = near[i].value;
        std::vector<int64_t> divisors{0};
        for (const Counted &one : all) divisors[0] = std::gcd(divisors[0], one.value - first);
        for (size_t a = 0; a < n_near; ++a)
            for (size_t b = a; b < n_near; ++b)
                divisors.push_back(std::gcd(near[a].value - first, near[b].value - first));
        std::sort(divisors.begin(), divisors.end());
        divisors.erase(std::unique(divisors.begin(), divisors.end()), divisors.end());
        for (const int64_t divisor : divisors)
            if (divisor > 1 && may_divide(all, first, divisor, n)) return false;
    }
    return true;
}

}  // namespace latrans
