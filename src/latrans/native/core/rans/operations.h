// Symbols one by one, each on a state of its own choice: what latents are coded with.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "rans/coder.h"
#include "rans/tables.h"

namespace latrans {

constexpr size_t kMaxStates = 1024;
constexpr int64_t kMaxBits = 16;  // of a symbol's probability, and raw ones

// n symbols: which state takes each, and its interval out of 2^bits.
struct SymbolOperations {
    const int64_t *lane, *start, *frequency, *bits;
    size_t n;
};

// Throws std::invalid_argument.
std::vector<uint8_t> encode_operations(const SymbolOperations &operations, size_t n_states);

// n symbols to read: the state and the table of each.
struct SymbolQueries {
    const int64_t *lane, *table;
    size_t n;
    int64_t escape, last;     // symbol `escape` says that 8 raw bits name one, up to `last`
    const int64_t *raw_bits;  // that follow each symbol
};

// Symbols, and the raw bits behind each.  Throws std::invalid_argument, and Damaged; no two threads
// at once.
void pop_symbols(RansDecoder &decoder, const SymbolTables<uint16_t> &tables,
                 const SymbolQueries &queries, int64_t *symbols, int64_t *raws);

}  // namespace latrans
