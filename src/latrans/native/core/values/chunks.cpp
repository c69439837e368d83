#include "values/chunks.h"

#include <algorithm>
#include <deque>

#include "require.h"
#include "residual/classes.h"

namespace latrans {

namespace {

constexpr size_t kFewSamples = 4096;       // coded with one rANS state
constexpr size_t kAbreast = 2 * kLanes;    // chunks whose bytes are decoded at the same time
constexpr uint32_t kLastToken = 32 + 4 * 12;  // of 16-bit latents
constexpr int kMostRawBits = 16;

}  // namespace

ValueChunks::ValueChunks(std::shared_ptr<const ValueModel> model, const ProgramSource &analysis,
                         const ProgramSource &synthesis, const uint16_t *frequencies,
                         size_t channels, int32_t limit)
    : model_(std::move(model)),
      analysis_(analysis.layers, analysis.lo, analysis.hi, model_->kernel()),
      synthesis_(synthesis.layers, synthesis.lo, synthesis.hi, model_->kernel()),
      tables_(frequencies, channels, kSymbols),
      limit_(limit) {
    const size_t area = model_->area();
    require(area < kFewSamples && channels < kFewSamples, "samples are not small");
    require(analysis_.n_in() == area && synthesis_.n_out() == area,
            "the autoencoder takes samples of another shape");
    require(analysis_.n_out() == channels && synthesis_.n_in() == channels,
            "the autoencoder has another number of latents");
    require(analysis.lo <= 0 && analysis.hi >= 255, "the autoencoder does not take all bytes");
    const LayerSource &first = analysis.layers.back(), &last = synthesis.layers.back();
    require(last.lo >= 0 && last.hi <= 255, "reconstructions are no bytes");
    require(synthesis.lo <= -limit && synthesis.hi >= limit && first.lo >= -limit &&
                first.hi <= limit,
            "latents exceed their limit");
    for (size_t channel = 0; channel < channels; ++channel)
        require(tables_.intervals(channel)[kEscape].frequency, "a table has no room for escapes");
}

std::vector<ValueChunks::Sections> ValueChunks::encode(const uint8_t *items, size_t n) const {
    const size_t area = model_->area();
    const NetworkRows work(widest());
    std::vector<int32_t> latents(analysis_.n_out());
    std::vector<uint8_t> pictures(n * area);
    std::vector<Sections> sections(n);
    for (size_t i = 0; i < n; ++i) {
        const uint8_t *item = items + i * area;
        const int32_t *found = analysis_.run(work.rows, [&](size_t k) { return item[k]; });
        std::copy_n(found, latents.size(), latents.begin());
        synthesise(latents.data(), work.rows, &pictures[i * area]);
        sections[i].latents = encode_latents(latents.data());
    }
    const std::vector<uint16_t> classes = model_->classify(items, pictures.data(), n);
    for (size_t i = 0; i < n; ++i)
        sections[i].residual =
            model_->encode_classes(items + i * area, classes.data() + i * area, 1, 1);
    return sections;
}

void ValueChunks::decode(const std::vector<std::pair<Bytes, Bytes>> &sections,
                         uint8_t *items) const {
    const size_t area = model_->area();
    const NetworkRows work(widest());
    std::vector<int32_t> latents(analysis_.n_out());
    std::vector<uint8_t> pictures(std::min(kAbreast, sections.size()) * area);
    for (size_t first = 0; first < sections.size(); first += kAbreast) {
        std::deque<RansDecoder> decoders;
        const size_t here = std::min(kAbreast, sections.size() - first);
        for (size_t i = 0; i < here; ++i) {
            const auto &[stored, residual] = sections[first + i];
            decode_latents(stored, latents.data());
            synthesise(latents.data(), work.rows, &pictures[i * area]);
            decoders.emplace_back(residual.first, residual.second, 1);
        }
        model_->decode_each(decoders, pictures.data(), items + first * area);
    }
}

std::vector<uint8_t> ValueChunks::encode_latents(const int32_t *latents) const {
    RansEncoder encoder(1);
    for (size_t channel = analysis_.n_out(); channel-- > 0;) {
        const Token token = tokenise(latents[channel], 0);
        if (token.n_raw) encoder.push_raw(0, token.raw, token.n_raw);
        const Interval *intervals = tables_.intervals(channel);
        Interval interval = intervals[token.token];
        if (!interval.frequency) {
            encoder.push_raw(0, token.token, kEscapeBits);
            interval = intervals[kEscape];
        }
        encoder.push(0, interval.start, interval.frequency, kProbabilityBits);
    }
    return encoder.finish();
}

void ValueChunks::decode_latents(Bytes section, int32_t *latents) const {
    RansDecoder decoder(section.first, section.second, 1);
    for (size_t channel = 0; channel < analysis_.n_out(); ++channel) {
        uint32_t token = decoder.pop(0, tables_.slots(channel), tables_.intervals(channel));
        if (token == kEscape) token = std::min(decoder.pop_raw(0, kEscapeBits), kLastToken);
        const int n_raw = std::min(raw_length(token, 0), kMostRawBits);
        const uint32_t raw = n_raw ? decoder.pop_raw(0, n_raw) : 0;
        latents[channel] = static_cast<int32_t>(untokenise(token, 0, raw));
        if (latents[channel] < -limit_ || latents[channel] > limit_)
            throw Damaged("a latent lies beyond its limit");
    }
    decoder.finish();
}

void ValueChunks::synthesise(const int32_t *latents, int32_t *const rows[2],
                             uint8_t *picture) const {
    const int32_t *found = synthesis_.run(rows, [&](size_t k) { return latents[k]; });
    for (size_t i = 0; i < model_->area(); ++i) picture[i] = static_cast<uint8_t>(found[i]);
}

size_t ValueChunks::widest() const { return std::max(analysis_.widest(), synthesis_.widest()); }

}  // namespace latrans
