#include "residual/section.h"

#include <algorithm>
#include <cstdlib>
#include <string>
#include <utility>

#include "require.h"

namespace latrans {

namespace {

constexpr unsigned kCount = 7, kOwn = 8, kAgain = 16;  // of a plane's first byte
constexpr size_t kMostNamed = 4;                       // references of a plane
constexpr int kMostShift = 14;
constexpr int64_t kMostWeight = 32768;

[[noreturn]] void damaged(const std::string &what) { throw Damaged("frame is damaged: " + what); }

// Few samples cannot pay for many states.
size_t n_states(const std::vector<Piece> &pieces) {
    int64_t n = 0;
    for (const Piece &piece : pieces) n += piece.n_samples;
    return n < 4096 ? 1 : n < 32768 ? 4 : size_t{kLanes};
}

}  // namespace

void SectionModel::check() const {
    require(model != nullptr, "a section needs a model");
    require(sigmas.size() == 256, "every code has a mean error");
    require(networks.size() <= kNoNetwork, "too many experts");
    for (const auto &of_expert : networks) require(!of_expert.empty(), "an expert has no network");
    require(weights.size() <= kMaxTaps, "too many weights");
}

SectionDecoder::SectionDecoder(std::shared_ptr<const SectionModel> source, ByteReader header,
                               const uint8_t *body, size_t nbytes, std::vector<Piece> pieces,
                               size_t horizon)
    : source_(std::move(source)),
      pieces_(std::move(pieces)),
      horizon_(horizon),
      kept_(pieces_.size()),
      finished_(pieces_.size()) {
    require(horizon_ >= 1, "planes may refer to the one before them");
    for (const Piece &piece : pieces_)
        require(piece.rows >= 1 && piece.columns >= 1 && piece.n_samples >= 1, "impossible shape");
    read_head(header);
    decoder_ = std::make_unique<RansDecoder>(body, nbytes, n_states(pieces_));
    records_.reserve(pieces_.size());
    for (size_t i = 0; i < pieces_.size(); ++i) {
        records_.push_back(read_record(header, i, i ? &records_.back() : nullptr));
        for (const size_t distance : records_.back().distances) kept_[i - distance] = true;
    }
    if (header.left()) damaged("bytes are left over in a header");
}

void SectionDecoder::read_head(ByteReader &header) {
    const uint8_t form = header.byte();
    if (form & ~(kRangeBit | kStepBit | kMapBit))
        damaged("unknown form of the residual section");
    if (form & kRangeBit) {
        const int64_t lo = header.zigzag();
        const uint64_t span = header.varint();
        if (lo < INT32_MIN || span > UINT32_MAX || lo + static_cast<int64_t>(span) > INT32_MAX)
            damaged("its samples exceed 32 bits");
        lo_ = static_cast<int32_t>(lo);
        hi_ = static_cast<int32_t>(lo + static_cast<int64_t>(span));
    }
    if (form & kStepBit) step_ = header.byte();
    if (step_ != 1 && (step_ < kLeastStep || step_ % 2 == 0))
        damaged("samples lie " + std::to_string(step_) + " apart");
    for (int32_t table = 0; table < kTables; ++table) map_[static_cast<size_t>(table)] = table;
    for (int left = form & kMapBit ? header.byte() : 0; left > 0; --left) {
        const uint8_t index = header.byte(), table = header.byte();
        if (std::max(index, table) >= kTables)
            damaged("there is no table " + std::to_string(std::max(index, table)));
        map_[index] = table;
    }
}

SectionDecoder::Record SectionDecoder::read_record(ByteReader &header, size_t i,
                                                   const Record *previous) const {
    const unsigned first = header.byte(), kind = first & ((1u << kExpertShift) - 1);
    const int64_t rows = pieces_[i].rows;
    Record record{first >> kExpertShift, {}, nullptr, {}};
    if (record.expert != kNoNetwork && record.expert >= source_->networks.size())
        damaged("the model has no expert " + std::to_string(record.expert));
    const size_t n_references = kind & kCount;
    if (kind & kAgain) {
        if (!previous) damaged("the first plane repeats one before it");
        record.distances = previous->distances;
        record.coefficients = previous->coefficients;
        const Coefficients &same = *record.coefficients;
        if (same.own != bool(kind & kOwn) || n_references != record.distances.size())
            damaged("a repeated plane contradicts the one before");
        if (same.own && static_cast<size_t>((rows - 1) / same.band_rows + 1) != same.shifts.size())
            damaged("a repeated plane has another number of rows");
    } else {
        bool possible = n_references <= kMostNamed;
        for (size_t k = 0; k < n_references; ++k) {
            const uint64_t distance = header.varint();
            possible &= distance >= 1 && distance <= i;
            record.distances.push_back(static_cast<size_t>(distance));
        }
        if (!possible) damaged("plane " + std::to_string(i) + " refers to impossible planes");
        record.coefficients = read_coefficients(header, kind & kOwn, rows, n_references);
    }
    if (!source_->model->geometry().plane) record.firsts = read_firsts(header, rows);
    return record;
}

std::shared_ptr<const SectionDecoder::Coefficients> SectionDecoder::read_coefficients(
    ByteReader &header, bool own, int64_t rows, size_t n_references) const {
    auto read = std::make_shared<Coefficients>();
    read->own = own;
    if (!own) {
        read->band_rows = rows;
        read->n_weights = static_cast<int>(source_->weights.size());
        read->weights = source_->weights;
        read->shifts = {source_->shift};
        read->sigmas = {source_->sigmas[header.byte()]};
        return read;
    }
    const uint64_t band_rows = header.varint();
    if (band_rows < 1 || band_rows > static_cast<uint64_t>(rows))
        damaged("coefficients for " + std::to_string(band_rows) + " of " + std::to_string(rows) +
                " rows");
    read->band_rows = static_cast<int64_t>(band_rows);
    const auto &plan = source_->model->plan();
    read->n_weights =
        plan.n_own_taps + plan.n_reference_taps * static_cast<int>(n_references);
    for (int64_t left = (rows - 1) / read->band_rows + 1; left > 0; --left) {
        read->shifts.push_back(header.byte());
        read->sigmas.push_back(source_->sigmas[header.byte()]);
        if (read->shifts.back() > kMostShift) damaged("a linear coefficient is out of range");
        for (int k = 0; k < read->n_weights; ++k) {
            const int64_t weight = header.zigzag();
            if (weight < -kMostWeight || weight > kMostWeight)
                damaged("a linear coefficient is out of range");
            read->weights.push_back(static_cast<int32_t>(weight));
        }
    }
    return read;
}

std::vector<int32_t> SectionDecoder::read_firsts(ByteReader &header, int64_t n_lanes) const {
    std::vector<int32_t> firsts;
    int64_t last = 0;
    for (int64_t lane = 0; lane < n_lanes; ++lane) {
        const int64_t difference = header.zigzag();
        if (std::abs(difference) <= int64_t{UINT32_MAX}) last += difference;
        else last = INT64_MAX;
        if (last < lo_ || last > hi_) damaged("the first sample of a lane is out of range");
        firsts.push_back(static_cast<int32_t>(last));
    }
    return firsts;
}

Job SectionDecoder::job(size_t i) const {
    const Piece &piece = pieces_[i];
    const Record &record = records_[i];
    const Coefficients &coefficients = *record.coefficients;
    Job job{};
    job.schedule = {source_->model->geometry().plane, piece.rows, piece.columns, piece.n_samples};
    job.lo = lo_;
    job.hi = hi_;
    job.n_weights = coefficients.n_weights;
    for (size_t band = 0; band < coefficients.shifts.size(); ++band)
        job.bands.push_back(
            {coefficients.weights.data() + band * static_cast<size_t>(coefficients.n_weights),
             coefficients.shifts[band], coefficients.sigmas[band]});
    // Of the model's own there is one set, whatever the number of rows.
    job.band_rows = coefficients.own ? coefficients.band_rows : piece.rows;
    for (const size_t distance : record.distances) {
        const size_t j = i - distance;
        if (!finished_[j]) damaged("plane " + std::to_string(i) + " refers to one too far back");
        const Piece &other = pieces_[j];
        if (other.rows != piece.rows || other.columns != piece.columns ||
            other.n_samples != piece.n_samples)
            damaged("plane " + std::to_string(i) + " refers to one of another shape");
        job.references.push_back(finished_[j]);
    }
    job.picture = piece.picture;
    job.network = -1;
    if (record.expert != kNoNetwork) {
        const std::vector<int> &networks = source_->networks[record.expert];
        job.network = networks[std::min(record.distances.size(), networks.size() - 1)];
    }
    job.step = step_;
    job.keep = kept_[i];
    return job;
}

std::vector<std::shared_ptr<Coded>> SectionDecoder::next(int64_t n_samples) {
    std::vector<std::shared_ptr<Coded>> planes;
    for (int64_t n = 0; at_ < pieces_.size() && n < n_samples; ++at_) {
        const Job job = this->job(at_);
        job.check(*source_->model);
        const Record &record = records_[at_];
        planes.push_back(decode(*source_->model, job, map_, *decoder_,
                                record.firsts.empty() ? nullptr : record.firsts.data()));
        n += pieces_[at_].n_samples;
        if (kept_[at_]) finished_[at_] = planes.back();
        if (at_ >= horizon_) finished_[at_ - horizon_] = nullptr;
        if (at_ + 1 == pieces_.size()) decoder_->finish();
    }
    return planes;
}

}  // namespace latrans
