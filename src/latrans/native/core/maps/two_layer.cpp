#include "maps/two_layer.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

namespace latrans {

namespace {

constexpr int kMantissa = 23, kMostBits = 31;
constexpr int64_t kExact = int64_t{1} << 24;  // floats beyond are coarser than cells

// A float as an integer of the same order, and back; integers beyond the type wrap around.
int64_t ordered(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    const int64_t magnitude = bits & 0x7FFFFFFF;
    return bits >> 31 ? -magnitude : magnitude;
}
float unordered(int64_t integer) {
    const auto bits = static_cast<uint32_t>(
        integer < 0 ? (uint64_t{0} - static_cast<uint64_t>(integer)) | 0x80000000u
                    : static_cast<uint64_t>(integer));
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

int bit_length(int64_t value) {
    return value > 0 ? 64 - __builtin_clzll(static_cast<uint64_t>(value)) : 0;
}

struct Cell {
    int64_t first;  // of its floats, as an ordered integer
    int bits;       // that say which of them
};

// Products with a power of two are exact in double, so that each bound is rounded once.
Cell cell(int64_t q, double scale) {
    const int64_t first = ordered(static_cast<float>(static_cast<double>(q) * scale));
    const int64_t end = ordered(static_cast<float>(static_cast<double>(q + 1) * scale));
    const bool coarse = q >= kExact || q <= -kExact;
    return {first, bit_length(coarse ? 0 : std::max<int64_t>(end - first, 1) - 1)};
}

bool is_at_zero(int64_t q) { return q == 0 || q == -1; }

// Cells of one grid.
class Grid {
public:
    explicit Grid(int exponent)
        : scale_(std::ldexp(1.0, exponent)),
          narrow_(static_cast<float>(scale_)),
          is_usual_(exponent >= -126 && exponent <= 103) {}

    // Where all ends of a cell are normal floats, they are exact, and its floats lie evenly.
    Cell operator()(int64_t q) const {
        const bool is_exact = q < kExact && q > -kExact && !is_at_zero(q);
        if (!is_usual_ || !is_exact) return cell(q, scale_);
        const auto nearer = static_cast<uint32_t>(q < 0 ? -q - 1 : q);
        return {ordered(static_cast<float>(static_cast<int32_t>(q)) * narrow_),
                __builtin_clz(nearer) - (31 - kMantissa)};
    }

private:
    double scale_;
    float narrow_;
    bool is_usual_;
};

// The octave of the float 2**exponent.
int64_t top_of(int exponent) {
    return ordered(static_cast<float>(std::ldexp(1.0, exponent))) >> kMantissa;
}

using Counts = std::array<size_t, kMostBits + 1>;

// Where the places of each width start among the bits, and where the last end.
size_t starts_of(Counts &counts) {
    size_t at = 0;
    for (size_t width = 1; width < counts.size(); ++width) {
        const size_t n = counts[width] * width;
        counts[width] = at;
        at += n;
    }
    return at;
}

void put_bits(uint8_t *to, size_t at, int width, uint64_t value) {
    // At most 38 bits from the first byte on, so that the value's are in the window's five bytes.
    const size_t end = (at & 7) + static_cast<size_t>(width);
    const uint64_t window = value << (40 - end);
    uint8_t *bytes = to + (at >> 3);
    for (size_t i = 0; 8 * i < end; ++i)
        bytes[i] = static_cast<uint8_t>(bytes[i] | (window >> (32 - 8 * i) & 255));
}

// Up to 31 bits from any bit on, within nbytes.
uint64_t take_bits(const uint8_t *from, size_t nbytes, size_t at, int width) {
    uint64_t window = 0;
    const size_t first = at >> 3;
    if (nbytes - first >= 8) {
        for (size_t i = 0; i < 8; ++i) window = window << 8 | from[first + i];
        return window << (at & 7) >> (64 - width);
    }
    const size_t n = std::min<size_t>(5, nbytes - first);
    for (size_t i = 0; i < 5; ++i) window = window << 8 | (i < n ? from[first + i] : 0);
    return window >> (40 - (at & 7) - static_cast<size_t>(width)) & ((uint64_t{1} << width) - 1);
}

}  // namespace

std::optional<SecondLayer> split_floats(const float *values, size_t n, int exponent,
                                        int64_t *integers) {
    const Grid grid(exponent);
    const double inverse = std::ldexp(1.0, -exponent);
    const int64_t top = top_of(exponent);
    std::vector<int64_t> rests(n);
    std::vector<uint8_t> widths(n);
    SecondLayer layer;
    Counts counts{};
    bool is_first = true, any = false;
    for (size_t i = 0; i < n; ++i) {
        const auto q = static_cast<int64_t>(std::floor(static_cast<double>(values[i]) * inverse));
        integers[i] = q;
        const Cell here = grid(q);
        int64_t rest = ordered(values[i]) - here.first;
        int width = here.bits;
        is_first &= rest == 0;
        if (is_at_zero(q)) {
            const int64_t magnitude = std::abs(ordered(values[i]));
            layer.octaves.push_back(magnitude ? 1 + top - (magnitude >> kMantissa) : 0);
            width = magnitude ? kMantissa : 0;
            rest = magnitude & ((int64_t{1} << kMantissa) - 1);
        }
        rests[i] = rest;
        widths[i] = static_cast<uint8_t>(width);
        any |= rest != 0;
        ++counts[static_cast<size_t>(width)];
    }
    if (is_first) return std::nullopt;
    if (!any) return layer;
    layer.low.assign((starts_of(counts) + 7) / 8, 0);
    for (size_t i = 0; i < n; ++i) {
        const size_t width = widths[i];
        if (width == 0) continue;
        put_bits(layer.low.data(), counts[width], widths[i], static_cast<uint64_t>(rests[i]));
        counts[width] += width;
    }
    return layer;
}

size_t count_at_zero(const int64_t *integers, size_t n) {
    return static_cast<size_t>(std::count_if(integers, integers + n, is_at_zero));
}

bool join_floats(const int64_t *integers, size_t n, int exponent, const uint8_t *low,
                 size_t nbytes, const int64_t *octaves, float *values) {
    const Grid grid(exponent);
    const int64_t top = top_of(exponent);
    std::vector<int64_t> firsts(n);
    std::vector<uint8_t> widths(n);
    Counts counts{};
    const int64_t *octave = octaves;
    for (size_t i = 0; i < n; ++i) {
        const Cell here = grid(integers[i]);
        firsts[i] = here.first;
        int width = here.bits;
        if (octaves && is_at_zero(integers[i])) width = *octave++ > 0 ? kMantissa : 0;
        widths[i] = static_cast<uint8_t>(width);
        ++counts[static_cast<size_t>(width)];
    }
    const size_t n_bits = starts_of(counts);
    if (nbytes && nbytes != (n_bits + 7) / 8) return false;
    octave = octaves;
    for (size_t i = 0; i < n; ++i) {
        const size_t width = widths[i];
        int64_t rest = 0;
        if (nbytes && width) {
            rest = static_cast<int64_t>(take_bits(low, nbytes, counts[width], widths[i]));
            counts[width] += width;
        }
        int64_t found = firsts[i] + rest;
        if (octaves && is_at_zero(integers[i])) {
            const int64_t below = *octave++;
            const auto high = static_cast<uint64_t>(top + 1 - below) << kMantissa;
            const int64_t magnitude = below ? static_cast<int64_t>(high) | rest : 0;
            found = integers[i] < 0 ? -magnitude : magnitude;
        }
        values[i] = unordered(found);
    }
    return true;
}

}  // namespace latrans
