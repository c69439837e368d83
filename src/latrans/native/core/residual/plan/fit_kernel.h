// The inner loops of the planner's fits; one copy per instruction set.
#pragma once
#include "residual/plan/fit_step.h"
#include "residual/plan/fit_vector.h"

namespace latrans {
namespace {
namespace fit_kernel {

void subtract(const int32_t *values, const int32_t *levels, size_t n, int16_t *out) {
    for (size_t k = 0; k < n; k += kGroup) {
        const Ints a = group(values + k), b = group(levels + k);
        const Ints wrapped =
            reinterpret_cast<Ints>(reinterpret_cast<Counts>(a) - reinterpret_cast<Counts>(b));
        const Ints overflows = ((a ^ b) & (a ^ wrapped)) >> 31;
        const Ints exact = overflows ? (a >> 31) ^ INT32_MAX : wrapped;
        const Ints below = exact > INT16_MAX ? Ints{} + INT16_MAX : exact;
        put(out + k, convert<int16_t>(below < -INT16_MAX ? Ints{} - INT16_MAX : below));
    }
}

void level(const int32_t *a, const int32_t *b, size_t n, int32_t *out) {
    for (size_t begin = 0; begin < n; begin += 16)
        for (size_t k = begin; k < begin + 16; ++k) out[k] = (a[k] | b[k]) - ((a[k] ^ b[k]) >> 1);
}

template <size_t S>
void split_by(const int32_t *values, size_t n, int32_t *out, size_t stride) {
    for (size_t i = 0; i < n / S; ++i)
        for (size_t phase = 0; phase < S; ++phase) out[phase * stride + i] = values[i * S + phase];
    for (size_t i = n / S * S; i < n; ++i) out[i % S * stride + i / S] = values[i];
}

void split(const int32_t *values, size_t n, size_t s, int32_t *out, size_t stride) {
    switch (s) {
        case 3: return split_by<3>(values, n, out, stride);
        case 5: return split_by<5>(values, n, out, stride);
        case 7: return split_by<7>(values, n, out, stride);
        case 9: return split_by<9>(values, n, out, stride);
    }
    for (size_t phase = 0; phase < s; ++phase)
        for (size_t i = phase, k = 0; i < n; i += s, ++k) out[phase * stride + k] = values[i];
}

// Raises limits to the magnitudes of values, and returns these.
inline Ints raise(const int16_t *values, int16_t *largest) {
    const Group<int16_t> v = group(values), before = group(largest);
    const Group<int16_t> size = v < 0 ? -v : v;
    put(largest, size > before ? size : before);
    return convert<int32_t>(size);
}

int64_t survey(const int16_t *values, size_t n, int16_t *largest) {
    int64_t sum = 0;
    for (size_t begin = 0; begin < n; begin += kFitRows) {
        Ints part{};
        for (size_t k = begin; k < begin + kFitRows; k += kGroup)
            part += raise(values + k, largest + k);
        sum += total(part);
    }
    return sum;
}

void add_activity(const int16_t *values, size_t n, int32_t *sums) {
    for (size_t k = 0; k < n; ++k) sums[k] += (values[k] < 0 ? -values[k] : +values[k]) * 32;
}

void shrink(const int16_t *values, size_t n, int drop, int limit, int16_t *out) {
    const auto most_ = static_cast<int16_t>(limit);
    for (size_t k = 0; k < n; ++k) {
        const auto value = static_cast<int16_t>(values[k] >> drop);
        out[k] = least(most(value, static_cast<int16_t>(-most_)), most_);
    }
}

// Two weights side by side.
inline int32_t pair(int32_t first, int32_t second) {
    return static_cast<int32_t>((static_cast<uint32_t>(first) & 0xFFFF) |
                                static_cast<uint32_t>(second) << 16);
}

// Sums of weights times values of one block.
inline void sum_up(const int16_t *const *columns, const int32_t *weights, size_t n_weights,
                   size_t begin, int32_t *sums) {
    constexpr size_t n = 4;  // vectors at a time, to hide the latency of sums
    for (size_t k = 0; k < kFitRows; k += n * kWidth) {
        Vector lows[n], highs[n];
        for (size_t v = 0; v < n; ++v) lows[v] = highs[v] = zero();
        for (size_t i = 0; i < n_weights; i += 2) {
            const bool last = i + 1 == n_weights;
            const int16_t *first = columns[i] + begin + k;
            const int16_t *second = last ? first : columns[i + 1] + begin + k;
            const Vector both = every(pair(weights[i], last ? 0 : weights[i + 1]));
#pragma GCC unroll 4
            for (size_t v = 0; v < n; ++v) {
                const Vector a = load(first + v * kWidth), b = load(second + v * kWidth);
                lows[v] = add_products(lows[v], low(a, b), both);
                highs[v] = add_products(highs[v], high(a, b), both);
            }
        }
        for (size_t v = 0; v < n; ++v) store_sums(sums + k + v * kWidth, lows[v], highs[v]);
    }
}

void predict(const int16_t *const *columns, const int32_t *weights, size_t n_weights, int shift,
             size_t begin, int32_t *predicted) {
    sum_up(columns, weights, n_weights, begin, predicted);
    if (shift > 8)
        for (size_t k = 0; k < kFitRows; k += kGroup)
            put(predicted + k, group(predicted + k) >> (shift - 8));
    else if (shift < 8)
        for (size_t k = 0; k < kFitRows; ++k)
            predicted[k] = static_cast<int32_t>(static_cast<uint32_t>(predicted[k])
                                                << (8 - shift));
}

// High and low bytes of weights apart.
void predict_far(const int16_t *const *columns, const int32_t *weights, size_t n_weights,
                 int shift, size_t begin, int32_t *predicted) {
    int32_t parts[kFarWeights], lows[kFitRows];
    for (size_t i = 0; i < n_weights; ++i) parts[i] = weights[i] & 255;
    sum_up(columns, parts, n_weights, begin, lows);
    for (size_t i = 0; i < n_weights; ++i) parts[i] = weights[i] >> 8;
    sum_up(columns, parts, n_weights, begin, predicted);
    for (size_t k = 0; k < kFitRows; k += kGroup) {
        const Counts high = reinterpret_cast<Counts>(group(predicted + k)) << (16 - shift);
        const Ints low = group(lows + k) >> (shift - 8);
        put(predicted + k, reinterpret_cast<Ints>(high + reinterpret_cast<Counts>(low)));
    }
}

template <class E>
void refresh(const Rows<E> &rows, const int32_t *predicted, int drop, size_t begin, int64_t &sum,
             E &least_error) {
    const Counts limit = Counts{} + static_cast<uint32_t>(kErrorLimit);
    Group<E> smallest = Group<E>{} + least_error;
    Group<E> lows{}, highs{};  // halves, so that no sum overflows
    for (size_t k = 0; k < kFitRows; k += kGroup) {
        // Rows that do not count may wrap around.
        const Counts target = convert<uint32_t>(group(rows.target + begin + k)) * 256;
        const Counts off = target - reinterpret_cast<Counts>(group(predicted + k));
        const Counts sign = -(off >> 31), magnitude = (off ^ sign) - sign;
        const Counts size = magnitude < limit ? magnitude : limit;
        const Group<E> now = (convert<E>(size) << drop) + (group(rows.scale + begin + k) >> 3);
        put(rows.error + begin + k, now);
        const Group<E> live = convert<E>(group(rows.live + begin + k));
        const Group<E> mine = now & live;
        lows += mine & 0xFFFF;
        highs += mine >> 16;
        const auto less = (now < smallest) & (live != 0);
        smallest = less ? now : smallest;
    }
    for (size_t i = 0; i < kGroup; ++i) {
        sum += (static_cast<int64_t>(highs[i]) << 16) + lows[i];
        least_error = least<E>(least_error, smallest[i]);
    }
}

template <class E>
void weigh(const Rows<E> &rows, const int16_t *largest, size_t n, E floor, int least_octave,
           RowWeights &weights) {
    E limits[kOctaves];
    const int top = sizeof(E) == 4 ? 30 : 62;
    for (int i = 0; i < kOctaves; ++i) limits[i] = E{1} << least(least_octave + 1 + i, top);
    int64_t sum = 0;
    Ints greatest{};
    for (size_t begin = 0; begin < n; begin += kFitRows) {
        Ints part{};
        for (size_t k = begin; k < begin + kFitRows; k += kGroup) {
            const Group<E> value = group(rows.error + k) + floor;
            Group<E> octaves = Group<E>{} + (1 << kOctaves);
#pragma GCC unroll 8
            for (int i = 0; i < kOctaves; ++i)
                octaves = value >= limits[i] ? Group<E>{} + (1 << (kOctaves - 1 - i)) : octaves;
            const Ints weight = convert<int32_t>(octaves) & convert<int32_t>(group(rows.live + k));
            const Ints size = convert<int32_t>(group(largest + k));
            const Ints multiplier = weight >> kMainOctave, scaled = size * multiplier;
            const Ints product = size * scaled;
            const Ints mine =
                multiplier & (scaled <= INT16_MAX) & (product < kProductLimit);
            const Ints inside = mine != 0;
            put(weights.multipliers + k, convert<int16_t>(mine));
            put(weights.apart + k, convert<uint16_t>(weight & ~inside));
            part += weight;
            const Ints here = product & inside;
            greatest = here > greatest ? here : greatest;
        }
        sum += total(part);
    }
    weights.sum = sum;
    weights.largest = 0;
    for (size_t i = 0; i < kGroup; ++i)
        weights.largest = most<int32_t>(weights.largest, greatest[i]);
}

// Logarithms in 1/32 octave of 1 <= value < 2^31, by the exponents and mantissas of floats.
inline Ints log2(Ints value, const int32_t *logs) {
    // A float holds 24 bits; the low 8 of larger values matter neither way.
    const Ints large = value >= 1 << 24;
    const Group<float> real = convert<float>(large ? value >> 8 : value);
    const Ints key = (reinterpret_cast<Ints>(real) >> 17) - (127 << 6) + (large & (8 << 6));
    return (key >> 6) * 32 + look_up(logs, key & 63);
}

void score(const int32_t *predicted, const int16_t *target, const int16_t *largest, int limit,
           int32_t floor, const int32_t *logs, size_t begin, int64_t &error, int64_t &cost) {
    Ints lows{}, highs{}, bits{};
    for (size_t k = 0; k < kFitRows; k += kGroup) {
        const Ints counts = convert<int32_t>(group(largest + begin + k)) <= limit;
        const Ints target_here = convert<int32_t>(group(target + begin + k)) & counts;
        const Ints off = target_here * 256 - (group(predicted + k) & counts);
        const Ints size = off < 0 ? -off : off;
        lows += size & 0xFFFF;
        highs += size >> 16;
        bits += log2(size + floor, logs) & counts;
    }
    error += (total(highs) << 16) + total(lows);
    cost += total(bits);
}

bool eliminate(double *work, size_t n, size_t stride) {
    double factors[512];
    if (n >= 512) return false;
    for (size_t k = 0; k < n; ++k) {
        const double *row = work + k * stride;
        const double pivot = row[k];
        if (pivot <= 0) return false;
        for (size_t i = k + 1; i < n; ++i) factors[i] = row[i] / pivot;
        for (size_t i = k + 1; i < n; ++i) {
            const double factor = factors[i];
            double *below = work + i * stride;
            // From a whole vector on: what lies left of the diagonal is not looked at.
            for (size_t j = i / 8 * 8; j < stride; ++j) below[j] -= factor * row[j];
        }
    }
    return true;
}

constexpr FitKernel kTable{
    kTile,       kLanes,           subtract,         level,          split,
    survey,      add_activity,     shrink,           predict,        predict_far,
    refresh<int32_t>, refresh<int64_t>, weigh<int32_t>, weigh<int64_t>, products,
    score,       eliminate,
};

}  // namespace fit_kernel
}  // namespace
}  // namespace latrans
