// The inner loops of the planner's fits.  Included once per instruction set, with
// LATRANS_FIT_KERNEL and LATRANS_FIT_NAME defined; nothing here is shared with other units.
#include "residual_fit_step.h"
#include "residual_fit_vector.h"

namespace latrans {
namespace {

template <class T>
inline T least(T a, T b) {
    return a < b ? a : b;
}
template <class T>
inline T most(T a, T b) {
    return a > b ? a : b;
}

void subtract(const int32_t *values, const int32_t *levels, size_t n, int16_t *out) {
    for (size_t begin = 0; begin < n; begin += 16)
        for (size_t k = begin; k < begin + 16; ++k) {
            const int32_t a = values[k], b = levels[k];
            const auto wrapped =
                static_cast<int32_t>(static_cast<uint32_t>(a) - static_cast<uint32_t>(b));
            const bool overflows = ((a ^ b) & (a ^ wrapped)) < 0;
            const int32_t difference = overflows ? (a >> 31) ^ INT32_MAX : wrapped;
            out[k] = static_cast<int16_t>(least(most(difference, -INT16_MAX), INT16_MAX + 0));
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

int64_t magnitudes(const int16_t *values, size_t n) {
    int64_t sum = 0;
    for (size_t begin = 0; begin < n; begin += kFitRows) {
        uint32_t part = 0;
        for (size_t k = begin; k < begin + kFitRows; ++k)
            part += static_cast<uint32_t>(values[k] < 0 ? -values[k] : +values[k]);
        sum += part;
    }
    return sum;
}

void add_activity(const int16_t *values, size_t n, int32_t *sums) {
    for (size_t k = 0; k < n; ++k) sums[k] += (values[k] < 0 ? -values[k] : +values[k]) * 32;
}

void raise(const int16_t *values, size_t n, int16_t *largest) {
    for (size_t k = 0; k < n; ++k) {
        const auto size = static_cast<int16_t>(values[k] < 0 ? -values[k] : +values[k]);
        largest[k] = most(largest[k], size);
    }
}

void shrink(const int16_t *values, size_t n, int drop, int limit, int16_t *out) {
    const auto most_ = static_cast<int16_t>(limit);
    for (size_t k = 0; k < n; ++k) {
        const auto value = static_cast<int16_t>(values[k] >> drop);
        out[k] = least(most(value, static_cast<int16_t>(-most_)), most_);
    }
}

void keep(const int16_t *values, size_t n, int drop, int limit, int16_t *live) {
    for (size_t k = 0; k < n; ++k) {
        const auto value = static_cast<int16_t>(values[k] >> drop);
        live[k] = value > limit || value < -limit ? 0 : live[k];
    }
}

inline int32_t pair(int32_t first, int32_t second) {
    return static_cast<int32_t>((static_cast<uint32_t>(first) & 0xFFFF) |
                                static_cast<uint32_t>(second) << 16);
}

void predict(const int16_t *const *columns, const int32_t *weights, size_t n_weights, int shift,
             size_t begin, int32_t *predicted) {
    for (size_t k = 0; k < kFitRows; k += kWidth) {
        Vector low_sums = zero(), high_sums = zero();
        size_t i = 0;
        for (; i + 1 < n_weights; i += 2) {
            const Vector a = load(columns[i] + begin + k), b = load(columns[i + 1] + begin + k);
            const Vector both = every(pair(weights[i], weights[i + 1]));
            low_sums = add_products(low_sums, low(a, b), both);
            high_sums = add_products(high_sums, high(a, b), both);
        }
        if (i < n_weights) {
            const Vector a = load(columns[i] + begin + k);
            const Vector one = every(pair(weights[i], 0));
            low_sums = add_products(low_sums, low(a, a), one);
            high_sums = add_products(high_sums, high(a, a), one);
        }
        store_sums(predicted + k, low_sums, high_sums);
    }
    if (shift > 8)
        for (size_t k = 0; k < kFitRows; ++k) predicted[k] >>= shift - 8;
    else if (shift < 8)
        for (size_t k = 0; k < kFitRows; ++k) predicted[k] *= 1 << (8 - shift);
}

template <class E>
void refresh(const Rows<E> &rows, const int32_t *predicted, int drop, size_t begin, int64_t &sum,
             E &least_error) {
    const int16_t *target = rows.target + begin, *live = rows.live + begin;
    const E *scale = rows.scale + begin;
    E *error = rows.error + begin, smallest = least_error;
    int64_t part = 0;
    for (size_t k = 0; k < kFitRows; ++k) {
        const uint32_t off = static_cast<uint32_t>(target[k] * 256) -
                             static_cast<uint32_t>(predicted[k]);
        const uint32_t size = least(off >> 31 ? -off : off, static_cast<uint32_t>(kErrorLimit));
        const E now = (static_cast<E>(size) << drop) + (scale[k] >> 3);
        error[k] = now;
        part += live[k] ? now : 0;
        smallest = live[k] && now < smallest ? now : smallest;
    }
    sum += part;
    least_error = smallest;
}

template <class E>
void weigh(const Rows<E> &rows, const int16_t *largest, size_t n, E floor, int least_octave,
           RowWeights &weights) {
    E limits[kOctaves];
    const int top = sizeof(E) == 4 ? 30 : 62;
    for (int i = 0; i < kOctaves; ++i) limits[i] = E{1} << least(least_octave + 1 + i, top);
    const E *error = rows.error;
    const int16_t *live = rows.live;
    int16_t *multipliers = weights.multipliers;
    uint16_t *apart = weights.apart;
    int64_t sum = 0;
    int32_t top_product = 0;
    for (size_t begin = 0; begin < n; begin += kFitRows) {
        int32_t part = 0;
        for (size_t k = begin; k < begin + kFitRows; ++k) {
            const E value = error[k] + floor;
            int32_t weight = 1 << kOctaves;
            for (int i = 0; i < kOctaves; ++i)
                weight = value >= limits[i] ? 1 << (kOctaves - 1 - i) : weight;
            weight = live[k] ? weight : 0;
            const int32_t size = largest[k], multiplier = weight >> kMainOctave;
            const int32_t product = size * size * multiplier;
            const bool fits = size * multiplier <= INT16_MAX && product < kProductLimit;
            const int32_t mine = fits ? multiplier : 0;
            multipliers[k] = static_cast<int16_t>(mine);
            apart[k] = static_cast<uint16_t>(mine ? 0 : weight);
            part += weight;
            top_product = most(top_product, mine ? product : 0);
        }
        sum += part;
    }
    weights.sum = sum;
    weights.largest = top_product;
}

// Products of kTile columns with kTile scaled ones, over one run of rows.
inline void multiply(const int16_t *const *columns, size_t begin, const int16_t *scaled,
                     int32_t *sums) {
    Vector total[kTile][kTile];
#pragma GCC unroll 8
    for (size_t i = 0; i < kTile; ++i)
#pragma GCC unroll 8
        for (size_t j = 0; j < kTile; ++j) total[i][j] = load(sums + (i * kTile + j) * kLanes);
    for (size_t k = 0; k < kRun; k += kWidth) {
        Vector b[kTile];
#pragma GCC unroll 8
        for (size_t j = 0; j < kTile; ++j) b[j] = load(scaled + j * kRun + k);
#pragma GCC unroll 8
        for (size_t i = 0; i < kTile; ++i) {
            const Vector a = load(columns[i] + begin + k);
#pragma GCC unroll 8
            for (size_t j = 0; j < kTile; ++j) total[i][j] = add_products(total[i][j], a, b[j]);
        }
    }
#pragma GCC unroll 8
    for (size_t i = 0; i < kTile; ++i)
#pragma GCC unroll 8
        for (size_t j = 0; j < kTile; ++j) store(sums + (i * kTile + j) * kLanes, total[i][j]);
}

constexpr size_t kTileSums = kTile * kTile * kLanes;

void clear(int32_t *sums, size_t n) {
    for (size_t i = 0; i < n; ++i) sums[i] = 0;
}

void flush(const int32_t *tiles, size_t n_columns, int64_t gain, int64_t *sums) {
    for (size_t i = 0; i < n_columns; i += kTile)
        for (size_t j = i; j < n_columns; j += kTile)
            for (size_t k = 0; k < kTile * kTile; ++k, tiles += kLanes) {
                int64_t sum = 0;
                for (size_t lane = 0; lane < kLanes; ++lane) sum += tiles[lane];
                sums[(i + k / kTile) * n_columns + j + k % kTile] += gain * sum;
            }
}

void products(const int16_t *const *columns, size_t n_columns, const int16_t *multipliers,
              size_t n_rows, int32_t largest, int64_t gain, const ProductSpace &space,
              int64_t *sums) {
    const size_t n_tiles = n_columns / kTile;
    const size_t n_sums = n_tiles * (n_tiles + 1) / 2 * kTileSums;
    // Every vector of rows adds two products to each sum.
    const size_t room = static_cast<size_t>(INT32_MAX / 2 / most(largest, 1)) * kWidth;
    size_t held = 0;
    clear(space.sums, n_sums);
    for (size_t begin = 0; begin < n_rows; begin += kRun) {
        if (held + kRun > room) {
            flush(space.sums, n_columns, gain, sums);
            clear(space.sums, n_sums);
            held = 0;
        }
        held += kRun;
        for (size_t k = 0; k < kRun; k += kWidth) {
            const Vector by = load(multipliers + begin + k);
            for (size_t i = 0; i < n_columns; ++i)
                store(space.scaled + i * kRun + k, times(load(columns[i] + begin + k), by));
        }
        int32_t *tile = space.sums;
        for (size_t i = 0; i < n_columns; i += kTile)
            for (size_t j = i; j < n_columns; j += kTile, tile += kTileSums)
                multiply(columns + i, begin, space.scaled + j * kRun, tile);
    }
    flush(space.sums, n_columns, gain, sums);
}

// Logarithm in 1/32 octave of 1 <= value < 2^31, by the exponent and mantissa of a float.
inline int32_t log2(int32_t value, const int32_t *logs) {
    // A float holds 24 bits; the low 8 of larger values matter neither way.
    const bool large = value >= 1 << 24;
    const auto real = static_cast<float>(large ? value >> 8 : value);
    int32_t bits;
    __builtin_memcpy(&bits, &real, sizeof bits);
    const int32_t key = (bits >> 17) - (127 << 6) + (large ? 8 << 6 : 0);
    return (key >> 6) * 32 + logs[key & 63];
}

void score(const int32_t *predicted, const int16_t *target, const int16_t *largest, int limit,
           int32_t floor, const int32_t *logs, size_t begin, int64_t &error, int64_t &cost) {
    target += begin;
    largest += begin;
    int64_t sum = 0;
    int32_t bits = 0;
    for (size_t k = 0; k < kFitRows; ++k) {
        const bool counts = largest[k] <= limit;
        const int32_t off = counts ? target[k] * 256 - predicted[k] : 0;
        const int32_t size = off < 0 ? -off : off;
        sum += size;
        bits += counts ? log2(size + floor, logs) : 0;
    }
    error += sum;
    cost += bits;
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

}  // namespace

extern const FitKernel LATRANS_FIT_KERNEL;
const FitKernel LATRANS_FIT_KERNEL{
    LATRANS_FIT_NAME, kTile,       kLanes,        subtract,         level,
    split,            magnitudes,  add_activity,  raise,            shrink,
    keep,             predict,     refresh<int32_t>, refresh<int64_t>, weigh<int32_t>,
    weigh<int64_t>,   products,    score,         eliminate,
};

}  // namespace latrans
