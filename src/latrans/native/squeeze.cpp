// About how many bytes the fallback would make of a little data: the twin of squeeze.py.
#include "bindings.h"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace nb = nanobind;

namespace {

constexpr size_t kMaxBytes = size_t{1} << 24;
constexpr size_t kRepeat = 3;

int64_t log2(int64_t value) {
    if (value == 0) return 0;
    int exponent = 0;
    while (value >> exponent > 1) ++exponent;
    return (int64_t{exponent} << 8) + ((value << 8) >> exponent) - 256;
}

// Where each run of three bytes began last.
class Seen {
public:
    explicit Seen(size_t n) {
        size_t size = 64;
        while (size < 2 * n) size *= 2;
        entries_.assign(size, {kNone, -1});
    }

    // Where a run began last, or -1.
    int32_t find(const uint8_t *run) const { return entries_[place(key(run))].at; }
    void enter(const uint8_t *run, size_t at) {
        const uint32_t k = key(run);
        entries_[place(k)] = {k, static_cast<int32_t>(at)};
    }

private:
    static constexpr uint32_t kNone = ~0u;
    struct Entry {
        uint32_t key;
        int32_t at;
    };

    static uint32_t key(const uint8_t *run) {
        return run[0] | uint32_t{run[1]} << 8 | uint32_t{run[2]} << 16;
    }
    // Of the key, or where it would be.
    size_t place(uint32_t key) const {
        const size_t mask = entries_.size() - 1;
        size_t at = (key * 2654435761u >> 12) & mask;
        while (entries_[at].key != key && entries_[at].key != kNone) at = (at + 1) & mask;
        return at;
    }

    std::vector<Entry> entries_;
};

int64_t in_order(const uint8_t *data, size_t n) {
    Seen seen(n);
    int64_t literals[256] = {}, n_repeats = 0;
    for (size_t at = 0; at < n;) {
        const int32_t from = at + kRepeat <= n ? seen.find(data + at) : -1;
        size_t end = at + 1;
        if (from < 0) {
            ++literals[data[at]];
        } else {
            ++n_repeats;
            const uint8_t *before = data + from;
            while (end < n && before[end - at] == data[end]) ++end;
        }
        for (; at < end; ++at)
            if (at + kRepeat <= n) seen.enter(data + at, at);
    }
    int64_t total = 0, symbols = 0, entropy = 0;
    for (int64_t count : literals) {
        total += count;
        symbols += count > 0;
        entropy -= count * log2(count);
    }
    entropy += total * log2(total);
    const int64_t code = (entropy >> 11) + (std::min<int64_t>(symbols, 64) * 7 >> 4);
    return std::min(total, code) + (n_repeats * 17 >> 4) + 15;
}

int64_t squeezed(const nb::bytes &data, size_t item_size) {
    const size_t n = data.size();
    if (n > kMaxBytes || item_size == 0 || n % item_size)
        throw nb::value_error("data is too large, or its items are not whole");
    const auto *bytes = static_cast<const uint8_t *>(data.data());
    const nb::gil_scoped_release release;
    int64_t least = std::min(in_order(bytes, n), 1 + static_cast<int64_t>(n));
    if (item_size > 1) {
        std::vector<uint8_t> sorted(n);
        const size_t items = n / item_size;
        for (size_t i = 0; i < items; ++i)
            for (size_t k = 0; k < item_size; ++k)
                sorted[k * items + i] = bytes[i * item_size + k];
        least = std::min(least, 12 + in_order(sorted.data(), n));
    }
    return least;
}

}  // namespace

void bind_squeeze(nb::module_ &module) { module.def("squeezed", &squeezed); }
