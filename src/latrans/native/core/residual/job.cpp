#include "residual/job.h"

#include <algorithm>
#include <cstdlib>
#include <type_traits>

#include "require.h"

namespace latrans {

namespace {

int64_t range(int32_t lo, int32_t hi) { return int64_t{hi} - lo; }

// Largest difference between the reconstruction and a sample, and 0 without one.
int64_t picture_range(const Job &job) {
    if (!job.picture) return 0;
    const auto n = static_cast<size_t>(job.schedule.rows * job.schedule.columns);
    const auto ends = std::minmax_element(job.picture, job.picture + n);
    // Cells that are not filled hold 0, which is `lo`.
    const int64_t least = std::min<int64_t>(*ends.first, job.lo);
    const int64_t most = std::max<int64_t>(*ends.second, job.hi);
    return std::max(job.hi - least, most - job.lo);
}

// Whether a sum of weighted taps may leave 31 bits.
bool exceeds(const Model &model, const Job &job, const int32_t *weights, int n) {
    const Plan &plan = model.plan();
    const int64_t own = range(job.lo, job.hi), picture = picture_range(job);
    int64_t sum = 0;
    for (int k = 0; k < n; ++k) {
        int64_t largest = k < plan.n_taps ? own : picture;
        if (k >= plan.n_own_taps) {
            const int which = (k - plan.n_own_taps) / plan.n_reference_taps;
            const Coded &coded = *job.references[static_cast<size_t>(which)];
            largest = range(coded.lo, coded.hi);
        }
        sum += std::abs(int64_t{weights[k]}) * largest;
    }
    return sum > INT32_MAX;
}

}  // namespace

std::shared_ptr<Coded> Coded::part(int64_t top, int64_t n, int64_t n_samples_there) const {
    require(top >= 0 && n >= 1 && n <= rows && top <= rows - n && n_samples_there >= 1 &&
                n_samples_there <= n * columns,
            "a plane does not have these rows");
    const auto slice = [&](const auto &values) {
        std::decay_t<decltype(values)> some;
        if (!values.size()) return some;
        some = std::decay_t<decltype(values)>(static_cast<size_t>(n * columns));
        std::copy_n(values.data() + top * columns, some.size(), some.data());
        return some;
    };
    auto some = std::make_shared<Coded>();
    some->rows = n;
    some->columns = columns;
    some->n_samples = n_samples_there;
    some->lo = lo;
    some->hi = hi;
    some->narrow = narrow;
    some->described = described;
    some->samples = slice(samples);
    some->errors32 = slice(errors32);
    some->energy32 = slice(energy32);
    some->errors64 = slice(errors64);
    some->energy64 = slice(energy64);
    return some;
}

void Job::check(const Model &model) const {
    const Plan &plan = model.plan();
    const Schedule &s = schedule;
    constexpr int64_t kMost = int64_t{1} << 40;
    require(s.rows >= 1 && s.columns >= 1 && s.columns <= kMost / s.rows, "impossible shape");
    const int64_t size = s.rows * s.columns;
    require(s.n_samples >= 1 && s.n_samples <= size && (!s.plane || s.n_samples == size),
            "number of samples does not fit the shape");
    require(lo <= hi, "range of the samples is empty");
    require(references.size() <= kMaxReferences, "too many reference planes");
    require(network >= -1 && network < static_cast<int>(model.n_networks()), "no such network");
    require(network < 0 || static_cast<size_t>(model.network(size_t(network)).n_references) <=
                               references.size(),
            "the network sees more reference planes than there are");
    require(step == 1 || (step >= kLeastStep && step <= kMostStep && step % 2),
            "steps are 1 or odd numbers from 9 to 255");
    for (const auto &coded : references)
        require(coded && coded->rows == s.rows && coded->columns == s.columns &&
                    coded->n_samples == s.n_samples,
                "a reference plane has another shape");
    for (const auto &coded : references)
        require(coded->samples.size() && (coded->described || !model.describes_references()),
                "a reference plane was not kept");
    require((picture != nullptr) == model.has_picture(),
            "reconstruction is missing or not expected by the predictor");
    require(!bands.empty() && band_rows >= 1 &&
                (s.rows - 1) / band_rows < static_cast<int64_t>(bands.size()),
            "there are rows without coefficients");
    const auto n_reference_taps = references.size() * size_t(plan.n_reference_taps);
    require(n_weights >= 0 && size_t(n_weights) <= size_t(plan.n_own_taps) + n_reference_taps,
            "there are more weights than taps");
    for (const Band &band : bands) {
        require(band.shift >= 0 && band.shift <= 16, "weights have 0 to 16 fraction bits");
        require(band.sigma >= 1 && band.sigma <= UINT32_MAX, "impossible mean error");
        for (int k = 0; k < n_weights; ++k)
            require(std::abs(int64_t{band.weights[k]}) <= 1 << 15, "a weight exceeds 16 bits");
    }
}

bool Job::narrow(const Model &model) const {
    bool fits = range(lo, hi) < 1 << 16 && n_weights <= 64 && model.plan().n_own_taps <= 64 &&
                picture_range(*this) < 1 << 17;
    for (const Band &band : bands) {
        fits &= band.sigma < 1 << 25 && band.shift <= 14;
        for (int k = 0; k < n_weights; ++k) fits &= band.weights[k] <= INT16_MAX;
    }
    for (const auto &coded : references)
        fits &= coded->narrow && range(coded->lo, coded->hi) < 1 << 16;
    return fits;
}

bool Job::has_wide_sums(const Model &model) const {
    bool wide = exceeds(model, *this, model.plan().trained, model.plan().n_own_taps);
    for (const Band &band : bands) wide |= exceeds(model, *this, band.weights, n_weights);
    return wide;
}

}  // namespace latrans
