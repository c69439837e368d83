#include "rans/operations.h"

#include <algorithm>

#include "require.h"

namespace latrans {

namespace {

bool within(const int64_t *values, size_t n, int64_t lo, int64_t hi) {
    bool inside = true;
    for (size_t i = 0; i < n; ++i) inside &= values[i] >= lo && values[i] <= hi;
    return inside;
}

}  // namespace

std::vector<uint8_t> encode_operations(const SymbolOperations &operations, size_t n_states) {
    require(n_states >= 1 && n_states <= kMaxStates, "n_states out of range");
    const auto &[lane, start, frequency, bits, n] = operations;
    bool fits = within(lane, n, 0, static_cast<int64_t>(n_states) - 1) &&
                within(bits, n, 1, kMaxBits) && within(start, n, 0, 1 << kMaxBits) &&
                within(frequency, n, 1, 1 << kMaxBits);
    for (size_t i = 0; fits && i < n; ++i)
        fits = start[i] + frequency[i] <= int64_t{1} << bits[i];
    require(fits, "an operation is out of range");
    RansEncoder encoder(n_states);
    for (size_t i = n; i-- > 0;)
        encoder.push(static_cast<size_t>(lane[i]), static_cast<uint32_t>(start[i]),
                     static_cast<uint32_t>(frequency[i]), static_cast<int>(bits[i]));
    return encoder.finish();
}

void pop_symbols(RansDecoder &decoder, const SymbolTables<uint16_t> &tables,
                 const SymbolQueries &queries, int64_t *symbols, int64_t *raws) {
    const auto &[lane, table, n, escape, last, raw_bits] = queries;
    require(within(raw_bits, tables.n_symbols(), 0, kMaxBits),
            "every symbol has 0 to 16 raw bits");
    require(last >= 0 && last < static_cast<int64_t>(tables.n_symbols()),
            "the last symbol that an escape may name does not exist");
    require(within(lane, n, 0, static_cast<int64_t>(decoder.n_states()) - 1) &&
                within(table, n, 0, static_cast<int64_t>(tables.n_tables()) - 1),
            "a lane or table is out of range");
    for (size_t i = 0; i < n; ++i) {
        const auto which = static_cast<size_t>(lane[i]), t = static_cast<size_t>(table[i]);
        int64_t symbol = decoder.pop(which, tables.slots(t), tables.intervals(t));
        if (symbol == escape) symbol = std::min<int64_t>(decoder.pop_raw(which, 8), last);
        symbols[i] = symbol;
        const auto bits = static_cast<int>(raw_bits[symbol]);
        raws[i] = bits ? decoder.pop_raw(which, bits) : 0;
    }
}

}  // namespace latrans
