// Probability tables, laid out for decoding: the twin of `starts` and `slots` in coding/rans/tables.py.
#pragma once
#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "rans/coder.h"

namespace latrans {

// Slot is a type that holds every symbol.
template <class Slot>
class SymbolTables {
public:
    // frequencies is (n_tables, n_symbols).  Throws std::invalid_argument.
    SymbolTables(const uint16_t *frequencies, size_t n_tables, size_t n_symbols)
        : n_symbols_(n_symbols),
          slots_(n_tables * kProbabilities + kBeyond),
          intervals_(n_tables * n_symbols) {
        for (size_t table = 0; table < n_tables; ++table) {
            uint32_t start = 0;
            for (size_t symbol = 0; symbol < n_symbols; ++symbol) {
                const uint32_t frequency = frequencies[table * n_symbols + symbol];
                if (frequency > kProbabilities - start)
                    throw std::invalid_argument("frequencies of a table exceed 4096");
                intervals_[table * n_symbols + symbol] = {static_cast<uint16_t>(start),
                                                          static_cast<uint16_t>(frequency)};
                std::fill_n(slots_.data() + table * kProbabilities + start, frequency,
                            static_cast<Slot>(symbol));
                start += frequency;
            }
            if (start != kProbabilities)
                throw std::invalid_argument("frequencies of a table do not sum to 4096");
        }
    }

    size_t n_tables() const { return slots_.size() / kProbabilities; }
    size_t n_symbols() const { return n_symbols_; }
    // Readers of whole words may look a few slots beyond the last table.
    const Slot *slots(size_t table) const { return slots_.data() + table * kProbabilities; }
    const Interval *intervals(size_t table) const { return intervals_.data() + table * n_symbols_; }

private:
    static constexpr size_t kBeyond = 3;

    size_t n_symbols_;
    std::vector<Slot> slots_;
    std::vector<Interval> intervals_;
};

}  // namespace latrans
