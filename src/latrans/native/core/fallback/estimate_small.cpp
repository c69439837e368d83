#include "fallback/estimate_small.h"

#include <algorithm>
#include <vector>

#include "bits.h"
#include "require.h"

namespace latrans {

namespace {

constexpr size_t kMaxBytes = size_t{1} << 24;
constexpr size_t kRepeat = 3;
constexpr int64_t kFrame = 15, kShuffle = 12;

int64_t log2(int64_t value) {
    if (value == 0) return 0;
    const int exponent = bit_length(static_cast<uint64_t>(value)) - 1;
    return (int64_t{exponent} << 8) + ((value << 8) >> exponent) - 256;
}

// Where each run of three bytes was first and last; places of a type that is as narrow as may be,
// so that all stays close to the core.
template <class Place>
class Seen {
public:
    static constexpr Place kNowhere = static_cast<Place>(-1);
    struct Entry {
        uint32_t key;
        Place first, last;
    };

    explicit Seen(size_t n) {
        size_t size = 64;
        while (size < 2 * n) size *= 2;
        entries_.assign(size, {kNone, kNowhere, kNowhere});
    }

    Entry &operator[](const uint8_t *run) {
        const uint32_t key = run[0] | uint32_t{run[1]} << 8 | uint32_t{run[2]} << 16;
        const size_t mask = entries_.size() - 1;
        size_t at = (key * 2654435761u >> 12) & mask;
        while (entries_[at].key != key && entries_[at].key != kNone) at = (at + 1) & mask;
        entries_[at].key = key;
        return entries_[at];
    }

private:
    static constexpr uint32_t kNone = ~0u;
    std::vector<Entry> entries_;
};

// Bytes of so many of each symbol by a code of their own, or as they are.
int64_t coded(const int64_t (&counts)[256]) {
    int64_t total = 0, symbols = 0, entropy = 0;
    for (int64_t count : counts) {
        total += count;
        symbols += count > 0;
        entropy -= count * log2(count);
    }
    entropy += total * log2(total);
    return std::min(total, (entropy >> 11) + (std::min<int64_t>(symbols, 64) * 7 >> 4));
}

template <class Place>
int64_t in_order(const uint8_t *data, size_t n) {
    using Entry = typename Seen<Place>::Entry;
    Seen<Place> seen(n);
    int64_t literals[256] = {}, n_repeats = 0;
    const auto alike = [&](size_t start, size_t at) {
        const uint8_t *before = data + start;
        size_t same = 0;
        while (at + same < n && before[same] == data[at + same]) ++same;
        return same;
    };
    const auto enter = [](Entry &entry, size_t at) {
        entry.last = static_cast<Place>(at);
        if (entry.first == Seen<Place>::kNowhere) entry.first = entry.last;
    };
    const size_t n_runs = n < kRepeat ? 0 : n - kRepeat + 1;
    size_t at = 0;
    while (at < n_runs) {
        Entry &here = seen[data + at];
        size_t end = at + 1;
        if (here.first == Seen<Place>::kNowhere) {
            ++literals[data[at]];
        } else {
            ++n_repeats;
            end = at + std::max(alike(here.first, at), alike(here.last, at));
        }
        enter(here, at);
        while (++at < std::min(end, n_runs)) enter(seen[data + at], at);
        at = end;
    }
    for (; at < n; ++at) ++literals[data[at]];  // too few for a run
    int64_t whole[256] = {};
    for (size_t at = 0; at < n; ++at) ++whole[data[at]];
    return std::min(coded(literals) + (n_repeats * 30 >> 4), coded(whole));
}

int64_t symbols_nbytes(const uint8_t *data, size_t n) {
    return n < 0xFFFF ? in_order<uint16_t>(data, n) : in_order<uint32_t>(data, n);
}

}  // namespace

int64_t estimate_nbytes(const uint8_t *data, size_t n, size_t item_size) {
    require(n <= kMaxBytes && item_size != 0 && n % item_size == 0,
            "data is too large, or its items are not whole");
    int64_t least = std::min(kFrame + symbols_nbytes(data, n), 1 + static_cast<int64_t>(n));
    if (item_size > 1) {
        std::vector<uint8_t> part(n / item_size);
        int64_t parts = 0;
        for (size_t k = 0; k < item_size; ++k) {
            for (size_t i = 0; i < part.size(); ++i) part[i] = data[i * item_size + k];
            parts += symbols_nbytes(part.data(), part.size());
        }
        least = std::min(least, kFrame + kShuffle + parts);
    }
    return least;
}

}  // namespace latrans
