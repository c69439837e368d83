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

// Where each run of three bytes was first and last.
class Seen {
public:
    struct Entry {
        uint32_t key;
        int32_t first, last;  // -1 where it was not
    };

    explicit Seen(size_t n) {
        size_t size = 64;
        while (size < 2 * n) size *= 2;
        entries_.assign(size, {kNone, -1, -1});
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

int64_t in_order(const uint8_t *data, size_t n) {
    Seen seen(n);
    int64_t literals[256] = {}, n_repeats = 0;
    const auto alike = [&](int32_t start, size_t at) {
        const uint8_t *before = data + start;
        size_t same = 0;
        while (at + same < n && before[same] == data[at + same]) ++same;
        return same;
    };
    for (size_t at = 0; at < n;) {
        size_t end = at + 1;
        const bool whole = at + kRepeat <= n;
        const Seen::Entry before = whole ? seen[data + at] : Seen::Entry{0, -1, -1};
        if (before.first < 0) {
            ++literals[data[at]];
        } else {
            ++n_repeats;
            end = at + std::max(alike(before.first, at), alike(before.last, at));
        }
        for (; at < end; ++at) {
            if (at + kRepeat > n) continue;
            Seen::Entry &entry = seen[data + at];
            entry.last = static_cast<int32_t>(at);
            if (entry.first < 0) entry.first = entry.last;
        }
    }
    int64_t whole[256] = {};
    for (size_t at = 0; at < n; ++at) ++whole[data[at]];
    return std::min(coded(literals) + (n_repeats * 30 >> 4), coded(whole));
}

}  // namespace

int64_t estimate_nbytes(const uint8_t *data, size_t n, size_t item_size) {
    require(n <= kMaxBytes && item_size != 0 && n % item_size == 0,
            "data is too large, or its items are not whole");
    int64_t least = std::min(kFrame + in_order(data, n), 1 + static_cast<int64_t>(n));
    if (item_size > 1) {
        std::vector<uint8_t> part(n / item_size);
        int64_t parts = 0;
        for (size_t k = 0; k < item_size; ++k) {
            for (size_t i = 0; i < part.size(); ++i) part[i] = data[i * item_size + k];
            parts += in_order(part.data(), part.size());
        }
        least = std::min(least, kFrame + kShuffle + parts);
    }
    return least;
}

}  // namespace latrans
