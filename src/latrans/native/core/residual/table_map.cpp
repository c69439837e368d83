#include "residual/table_map.h"

#include <algorithm>

#include "require.h"

namespace latrans {

namespace {

constexpr size_t kRow = (kTables + 15) / 16 * 16;
constexpr int32_t kMostCost = 8191;            // of a token
constexpr uint64_t kFewSamples = 1 << 10;      // their sums are exact in float
constexpr uint64_t kMostSamples = INT32_MAX;   // and these in double

// Tables that serve the classes better, by totals of a type that holds them exactly.
template <class Total, class Key>
void name_cheaper(const std::vector<Key> &met, const std::vector<uint32_t> &counts,
                  const std::vector<float> &costs, int32_t worth, TableMap &map) {
    Total totals[kRow];
    for (size_t i = 0; i < met.size();) {
        const size_t table = met[i] / kTokens;
        std::fill_n(totals, kRow, Total{});
        for (; i < met.size() && met[i] / kTokens == table; ++i) {
            const auto count = static_cast<Total>(counts[met[i]]);
            const float *row = costs.data() + met[i] % kTokens * kRow;
            for (size_t t = 0; t < kRow; ++t) totals[t] += count * row[t];
        }
        const Total *best = std::min_element(totals, totals + kTables);
        if (totals[table] - *best > static_cast<Total>(worth))
            map[table] = static_cast<int32_t>(best - totals);
    }
}

}  // namespace

TableCosts::TableCosts(const int32_t *costs, int32_t worth)
    : worth_(worth), costs_(kTokens * kRow) {
    for (size_t table = 0; table < kTables; ++table)
        for (size_t token = 0; token < kTokens; ++token) {
            const int32_t cost = costs[table * kTokens + token];
            require(cost >= 0 && cost <= kMostCost, "a token costs too much");
            costs_[token * kRow + table] = static_cast<float>(cost);
        }
}

TableMap TableCosts::cheapest(const std::vector<std::shared_ptr<Classes>> &planes) const {
    TableMap map{};
    for (int32_t table = 0; table < kTables; ++table) map[static_cast<size_t>(table)] = table;
    // How often each token meets each class; those that do, in order of classes.
    std::vector<uint32_t> counts(size_t{kTables} * kTokens);
    std::vector<uint16_t> met;
    uint64_t n_samples = 0;
    for (const auto &classes : planes) {
        const ClassBuffer &all = classes->all();
        n_samples += all.n;
        require(n_samples <= kMostSamples, "a section holds too many samples");
        for (size_t i = 0; i < all.n; ++i) {
            const size_t key = all.tables[i] * size_t{kTokens} + all.tokens[i];
            if (counts[key]++ == 0) met.push_back(static_cast<uint16_t>(key));
        }
    }
    std::sort(met.begin(), met.end());
    if (n_samples < kFewSamples)
        name_cheaper<float>(met, counts, costs_, worth_, map);
    else
        name_cheaper<double>(met, counts, costs_, worth_, map);
    return map;
}

}  // namespace latrans
