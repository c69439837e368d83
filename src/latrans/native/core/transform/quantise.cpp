#include "transform/quantise.h"

#include <algorithm>
#include <cstdlib>

namespace latrans {
namespace {

constexpr int kPasses = 2;      // each changes the classes that it was made with
constexpr double kDeadZone = 0.35;  // rounding of the first guess
constexpr int kMeanBits = 12, kCode = 24;
constexpr int kGainBits = 3;

// The gain that leaves the least squared error where coefficients may become zero.
template <class T>
int best_gain(const T *prediction, const T *coefficients, size_t n, int64_t step) {
    int length = 0;
    while (step >> length) ++length;
    const int cut = std::max(0, length - 14);
    int64_t power = 0, product = 0;
    for (size_t i = 0; i < n; ++i) {
        const int64_t p = prediction[i], c = coefficients[i];
        const bool small = 4 * std::abs(c) < 5 * step && std::abs(p) < 2 * step;
        const int64_t q = small ? p >> cut : 0;
        power += q * q;
        product += q * (c >> cut);
    }
    if (!power) return 0;
    const int64_t above = 8 * product + power, below = 2 * power;
    if (above < 0) return 0;
    return static_cast<int>(std::min<int64_t>(above / below, (1 << kGainBits) - 1));
}

// Differences to W + N - NW held between W and N.
void predicted_differences(std::vector<int32_t> &values, size_t rows, size_t columns) {
    const auto at = [&](size_t y, size_t x) { return values[y * columns + x]; };
    for (size_t y = rows; y-- > 0;)
        for (size_t x = columns; x-- > 0;) {
            const int32_t west = x ? at(y, x - 1) : 0, north = y ? at(y - 1, x) : 0;
            const int32_t corner = x && y ? at(y - 1, x - 1) : 0;
            values[y * columns + x] -= std::min(
                std::max(west + north - corner, std::min(west, north)), std::max(west, north));
        }
}

struct Doubtful {
    uint32_t at;
    double ratio;
};

// The one of three magnitudes that costs least.
uint32_t cheapest(double ratio, const double *costs, const double *shifts) {
    const auto nearest = static_cast<uint32_t>(ratio + 0.5);
    double best = ratio * ratio + costs[0];
    uint32_t chosen = 0;
    for (const uint32_t candidate : {std::max(nearest, 2u) - 1, nearest}) {
        const double shift = shifts[std::min<uint32_t>(candidate, kCentroids) - 1];
        const double error = ratio - (candidate + shift);
        const double cost = error * error + costs[token_of(candidate)];
        if (cost < best) {
            chosen = candidate;
            best = cost;
        }
    }
    return chosen;
}

}  // namespace

int mean_code(const TransformLogs &logs, uint64_t total, size_t n) {
    if (!total) return 0;
    const uint64_t mean = std::max<uint64_t>(1, (total << kMeanBits) / n);
    int e = 0;
    while (mean >> (e + 1)) ++e;
    const uint64_t step = (e < 6 ? mean << (6 - e) : mean >> (e - 6)) - 64;
    return 1 + ((32 * e + logs.logs[step]) >> 3);
}

template <class T>
TransformChoice choose_values(const TransformModel &model, const TransformCosts &costs,
                              TransformBand band, const int8_t *known, bool is_low,
                              const T *coefficients, T *prediction, TransformArena &arena) {
    const size_t n = band.rows * band.columns;
    const int64_t step = band.step;
    TransformChoice out;
    out.values.resize(n);
    out.classes.resize(n);
    if (prediction) out.gain = best_gain(prediction, coefficients, n, step);
    // What is left of a coefficient, in place of its prediction.
    const T *rest = coefficients;
    if (out.gain) {
        const auto gain = static_cast<T>(out.gain);
        for (size_t i = 0; i < n; ++i)
            prediction[i] = coefficients[i] - ((gain * prediction[i] + 2) >> 2);
        rest = prediction;
    }
    std::vector<uint16_t> sizes(n);
    const auto sized = [](uint32_t magnitude) {
        return static_cast<uint16_t>(std::min<uint32_t>(magnitude, 2047));
    };
    uint64_t total = 0;
    std::array<int8_t, kKnownInputs> inputs;
    std::copy_n(known, kKnownInputs, inputs.begin());
    const size_t stride = (band.columns + 63) / 64 * 64;
    std::vector<uint32_t> places;
    const auto classify = [&](int code, const uint8_t *wanted) {
        if (places.empty()) {
            places.resize(kPlaceQuads * stride * band.rows);
            model.kernel.inputs(band, places.data(), stride, arena);
        }
        inputs[kCode] = static_cast<int8_t>(std::max(-127, std::min(127, 4 * (code - 49))));
        const std::vector<int32_t> bias = model.first_bias(inputs.data());
        band.first_bias = bias.data();
        model.kernel.classify(band, places.data(), stride, sizes.data(), wanted,
                              out.classes.data(), arena);
    };
    if (is_low) {
        for (size_t i = 0; i < n; ++i) {
            const double ratio = static_cast<double>(std::abs(rest[i])) / static_cast<double>(step);
            const auto nearest = static_cast<int32_t>(ratio + 0.5);
            out.values[i] = rest[i] < 0 ? -nearest : nearest;
        }
        predicted_differences(out.values, band.rows, band.columns);
        for (size_t i = 0; i < n; ++i) {
            const auto magnitude = static_cast<uint32_t>(std::abs(out.values[i]));
            sizes[i] = sized(magnitude);
            total += magnitude;
        }
    } else {
        std::vector<Doubtful> doubtful;
        doubtful.reserve(n);
        std::vector<uint8_t> wanted(n);
        for (size_t i = 0; i < n; ++i) {
            const int64_t size = std::abs(static_cast<int64_t>(rest[i]));
            if (2 * size < step) continue;  // zero, whatever it costs
            const double ratio = static_cast<double>(size) / static_cast<double>(step);
            doubtful.push_back({static_cast<uint32_t>(i), ratio});
            wanted[i] = 1;
            const auto guess = static_cast<uint32_t>(ratio + kDeadZone);
            sizes[i] = sized(guess);
            total += guess;
        }
        for (int pass = 0; pass < kPasses; ++pass) {
            const int code = mean_code(model.logs, total, n);
            if (!code) break;
            classify(code, wanted.data());
            total = 0;
            for (const Doubtful &d : doubtful) {
                const size_t c = out.classes[d.at];
                const uint32_t chosen =
                    cheapest(d.ratio, &costs.costs[c * kBandTokens], &costs.shifts[c * kCentroids]);
                const auto value = static_cast<int32_t>(chosen);
                out.values[d.at] = rest[d.at] < 0 ? -value : value;
                sizes[d.at] = sized(chosen);
                total += chosen;
            }
        }
    }
    out.code = mean_code(model.logs, total, n);
    if (out.code)
        classify(out.code, nullptr);
    else
        std::fill(out.classes.begin(), out.classes.end(), 0);
    return out;
}

template TransformChoice choose_values(const TransformModel &, const TransformCosts &,
                                       TransformBand, const int8_t *, bool, const int32_t *,
                                       int32_t *, TransformArena &);
template TransformChoice choose_values(const TransformModel &, const TransformCosts &,
                                       TransformBand, const int8_t *, bool, const int64_t *,
                                       int64_t *, TransformArena &);

}  // namespace latrans
