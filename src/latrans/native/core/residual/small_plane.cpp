#include "residual/small_plane.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "require.h"
#include "residual/plan/trials.h"
#include "residual/section.h"

namespace latrans {

namespace {

const int32_t *checked(const std::vector<int32_t> &costs) {
    require(costs.size() == size_t{kTables} * kTokens, "costs have another shape");
    return costs.data();
}

uint64_t zigzag(int64_t value) {
    return static_cast<uint64_t>(value) << 1 ^ (value < 0 ? ~uint64_t{0} : 0);
}

void put_varint(std::vector<uint8_t> &out, uint64_t value) {
    for (; value >= 128; value >>= 7) out.push_back(static_cast<uint8_t>(value | 128));
    out.push_back(static_cast<uint8_t>(value));
}

// Nearest code of a mean absolute error, an eighth of an octave apart.
uint8_t code_from_sigma(double sigma) {
    if (sigma < 1) return 0;
    return static_cast<uint8_t>(std::clamp(std::nearbyint(8 * std::log2(sigma)), 0.0, 255.0));
}

}  // namespace

SmallPlaneEncoder::SmallPlaneEncoder(std::shared_ptr<const Model> model, SmallPlaneSource source)
    : model_(std::move(model)),
      source_(std::move(source)),
      rivals_(source_.networks),
      costs_(checked(source_.costs), source_.worth) {
    require(!model_->has_picture(), "planes alone have no reconstruction");
    require(source_.sigmas.size() == 256, "every code has a mean error");
    require(source_.networks.size() <= kNoNetwork, "too many experts");
    const size_t n_taps = model_->geometry().taps.size();
    require(n_taps >= 8 && source_.weights.size() <= n_taps, "coefficients do not fit the taps");
    require(source_.shift >= 0 && source_.shift <= 16, "weights have 0 to 16 fraction bits");
    for (const int32_t weight : source_.weights)
        require(weight >= -32768 && weight <= 32768, "a weight exceeds 16 bits");
    rivals_.push_back(-1);
}

SmallPlaneEncoder::Section SmallPlaneEncoder::encode(const int32_t *plane, int64_t rows,
                                                     int64_t columns) const {
    require(rows >= 1 && columns >= 1 && columns < kSmallPlaneSamples &&
                rows < kSmallPlaneSamples && rows * columns < kSmallPlaneSamples,
            "plane is not small");
    Job job = this->job(rows, columns);
    const auto [least, most] = std::minmax_element(plane, plane + rows * columns);
    const bool ranged = *least < 0 || *most > 255;
    job.lo = ranged ? *least : 0;
    job.hi = ranged ? *most : 255;
    const double n = static_cast<double>(rows * columns);
    const uint8_t code = code_from_sigma(static_cast<double>(error(plane, job.schedule)) / n);
    job.bands[0].sigma = source_.sigmas[code];
    job.check(*model_);
    const SamplesView given{plane, Type::kInt32};
    const Contested found = contest(*model_, job, given, rivals_, source_.costs.data(),
                                    source_.per_raw_bit, true);
    const auto &costs = found.totals;
    const auto expert = static_cast<size_t>(
        std::min_element(costs.begin(), costs.end()) - costs.begin());
    job.network = rivals_[expert];
    const auto classes = found.classes.empty() ? classify(*model_, job, given).classes
                                               : found.classes[expert];
    const TableMap map = costs_.cheapest({classes});

    std::vector<uint8_t> header{0}, entries;
    for (int table = 0; table < kTables; ++table) {
        if (map[static_cast<size_t>(table)] == table) continue;
        entries.push_back(static_cast<uint8_t>(table));
        entries.push_back(static_cast<uint8_t>(map[static_cast<size_t>(table)]));
    }
    if (ranged) {
        header[0] |= kRangeBit;
        put_varint(header, zigzag(job.lo));
        put_varint(header, static_cast<uint64_t>(int64_t{job.hi} - job.lo));
    }
    if (!entries.empty()) {
        header[0] |= kMapBit;
        header.push_back(static_cast<uint8_t>(entries.size() / 2));
        header.insert(header.end(), entries.begin(), entries.end());
    }
    const bool none = expert + 1 == rivals_.size();
    header.push_back(static_cast<uint8_t>((none ? kNoNetwork : expert) << kExpertShift));
    header.push_back(code);
    for (int64_t lane = 0; !job.schedule.plane && lane < rows; ++lane)
        put_varint(header, zigzag(int64_t{plane[lane * columns]} -
                                  (lane ? plane[(lane - 1) * columns] : 0)));
    return {std::move(header), latrans::encode(*model_, {classes}, map, 1)};
}

Job SmallPlaneEncoder::job(int64_t rows, int64_t columns) const {
    Job job{};
    job.schedule = {model_->geometry().plane, rows, columns, rows * columns};
    job.bands.push_back({source_.weights.data(), source_.shift, 1});
    job.band_rows = rows;
    job.n_weights = static_cast<int>(source_.weights.size());
    job.network = -1;
    job.step = 1;
    return job;
}

// Sum of the magnitudes of errors of the model's own coefficients.
int64_t SmallPlaneEncoder::error(const int32_t *plane, const Schedule &schedule) const {
    Trials trials(*model_, {plane, Type::kInt32}, schedule, nullptr, std::nullopt);
    return trials.measure({0, schedule.n_samples, 1}, {}, {source_.weights, source_.shift}).error;
}

}  // namespace latrans
