#include "residual_coder.h"

#include <algorithm>
#include <stdexcept>

namespace latrans {

namespace {

// Calls `visit(step, lanes)` for every step of a strip that codes anything, until it returns false.
template <class Visit>
bool each_step(const Schedule &schedule, int64_t top, Visit &&visit) {
    for (int64_t step = schedule.first_step(); step < schedule.end_step(top); ++step) {
        const Range lanes = schedule.active(top, step);
        if (lanes.begin < lanes.end && !visit(step, lanes)) return false;
    }
    return true;
}

// Multiples of an odd step nearest to a distance.
template <class T>
T nearest_step(T distance, T step) {
    const T up = distance + step / 2;
    return up >= 0 ? up / step : -((step - 1 - up) / step);
}

template <class T>
bool classify_as(const Model &model, const Job &job, const int32_t *values, Classified &result) {
    const Schedule &s = job.schedule;
    std::vector<int32_t> firsts;
    if (!s.plane)
        for (int64_t lane = 0; lane < s.rows; ++lane) {
            const int32_t first = values[lane * s.columns];
            firsts.push_back(first);
            if (lane * s.columns < s.n_samples && (first < job.lo || first > job.hi))
                throw std::invalid_argument("a sample lies outside of the range");
        }
    Plane<T> plane(model, job);
    Classes &classes = *result.classes;
    const auto largest = static_cast<T>(int64_t{job.hi} - job.lo);
    size_t n = 0;
    for (int64_t top = 0; top < s.rows; top += kLanes) {
        plane.begin(top, firsts.data());
        const bool carried = each_step(s, top, [&](int64_t step, Range lanes) {
            if (!plane.look(step, lanes)) return false;
            const Answer<T> &answer = plane.answer();
            T samples[kLanes];
            bool inside = true;
            for (int64_t lane = lanes.begin; lane < lanes.end; ++lane, ++n) {
                const int32_t value = values[(top + lane) * s.columns + step - s.lag() * lane];
                inside &= value >= job.lo && value <= job.hi;
                samples[lane] = static_cast<T>(int64_t{value} - job.lo);
                T coded = samples[lane];
                if (job.step > 1) {
                    coded = nearest_step<T>(samples[lane] - answer.anchor[lane], job.step);
                    samples[lane] = answer.anchor[lane] + coded * job.step;
                    inside &= samples[lane] >= 0 && samples[lane] <= largest;
                }
                uint32_t offset = static_cast<uint32_t>(coded) -
                                  static_cast<uint32_t>(answer.centre[lane]);
                if (answer.flip[lane]) offset = 0 - offset;
                classes.offset[n] = static_cast<int32_t>(offset);
                classes.table[n] = static_cast<uint8_t>(answer.table[lane]);
                classes.low_bits[n] = static_cast<uint8_t>(answer.low_bits[lane]);
            }
            if (!inside) throw std::invalid_argument("a sample lies outside of the range");
            plane.put(step, lanes, samples);
            return true;
        });
        if (!carried) return false;
        plane.end();
    }
    result.coded = plane.finish();
    return true;
}

// Samples of one step, relative to the smallest.  Phases as in residual/schedule.py.
template <class T>
void pop_step(const SymbolTables<uint8_t> &tables, const TableMap &map, const Answer<T> &answer,
              Range lanes, RansDecoder &decoder, const Job &job, T *samples) {
    const size_t n_states = decoder.n_states();
    uint32_t tokens[kLanes], raw[kLanes] = {};
    bool escaped = false;
    int longest = 0, lengths[kLanes];
    for (int64_t l = lanes.begin; l < lanes.end; ++l) {
        const size_t table = map[static_cast<size_t>(answer.table[l])];
        tokens[l] = decoder.pop(size_t(l) % n_states, tables.slots(table), tables.intervals(table));
        escaped |= tokens[l] == kEscape;
    }
    if (escaped)
        for (int64_t l = lanes.begin; l < lanes.end; ++l)
            if (tokens[l] == kEscape)
                tokens[l] = std::min(decoder.pop_raw(size_t(l) % n_states, kEscapeBits),
                                     kTokens - 1);
    for (int64_t l = lanes.begin; l < lanes.end; ++l) {
        lengths[l] = raw_length(tokens[l], answer.low_bits[l]);
        longest = std::max(longest, lengths[l]);
    }
    for (int shift = 0; shift < std::min(longest, 32); shift += 16)
        for (int64_t l = lanes.begin; l < lanes.end; ++l)
            if (lengths[l] > shift)
                raw[l] |= decoder.pop_raw(size_t(l) % n_states, std::min(lengths[l] - shift, 16))
                          << shift;
    const auto largest = static_cast<uint32_t>(int64_t{job.hi} - job.lo);
    bool inside = true;
    for (int64_t l = lanes.begin; l < lanes.end; ++l) {
        uint32_t offset = untokenise(tokens[l], answer.low_bits[l], raw[l]);
        if (answer.flip[l]) offset = 0 - offset;
        // All modulo 2^32, as in the definition; damaged data may count any number of steps.
        const uint32_t coded = static_cast<uint32_t>(answer.centre[l]) + offset;
        const uint32_t sample = static_cast<uint32_t>(answer.anchor[l]) +
                                coded * static_cast<uint32_t>(job.step);
        inside &= sample <= largest;
        samples[l] = static_cast<T>(sample);
    }
    if (!inside) throw Damaged("entropy-coded section holds a sample out of range: damaged");
}

template <class T>
std::shared_ptr<Coded> decode_as(const Model &model, const Job &job, const TableMap &map,
                                 RansDecoder &decoder, const int32_t *firsts) {
    const Schedule &s = job.schedule;
    Plane<T> plane(model, job);
    for (int64_t top = 0; top < s.rows; top += kLanes) {
        plane.begin(top, firsts);
        const bool carried = each_step(s, top, [&](int64_t step, Range lanes) {
            if (!plane.look(step, lanes)) return false;
            T samples[kLanes];
            pop_step(model.tables(), map, plane.answer(), lanes, decoder, job, samples);
            plane.put(step, lanes, samples);
            return true;
        });
        if (!carried) return nullptr;
        plane.end();
    }
    return plane.finish();
}

// Operations of a step, last first, for the classes that end before `end`; returns their start.
size_t push_step(const SymbolTables<uint8_t> &tables, const TableMap &map, const Classes &classes,
                 size_t end, Range lanes, RansEncoder &encoder, size_t n_states) {
    const size_t start = end - static_cast<size_t>(lanes.end - lanes.begin);
    Token tokens[kLanes];
    const Interval *intervals[kLanes];
    bool escaped = false;
    int longest = 0;
    const auto n = static_cast<int>(end - start);
    for (int i = 0; i < n; ++i) {
        const size_t at = start + static_cast<size_t>(i);
        tokens[i] = tokenise(classes.offset[at], classes.low_bits[at]);
        intervals[i] = tables.intervals(map[classes.table[at]]);
        escaped |= !intervals[i][tokens[i].token].frequency;
        longest = std::max(longest, tokens[i].n_raw);
    }
    const auto which = [&](int i) { return static_cast<size_t>(lanes.begin + i) % n_states; };
    for (int i = n; longest > 16 && i-- > 0;)
        if (tokens[i].n_raw > 16)
            encoder.push_raw(which(i), tokens[i].raw >> 16, tokens[i].n_raw - 16);
    for (int i = n; longest > 0 && i-- > 0;)
        if (tokens[i].n_raw > 0)
            encoder.push_raw(which(i), tokens[i].raw & 0xFFFF, std::min(tokens[i].n_raw, 16));
    for (int i = n; escaped && i-- > 0;)
        if (!intervals[i][tokens[i].token].frequency)
            encoder.push_raw(which(i), tokens[i].token, kEscapeBits);
    for (int i = n; i-- > 0;) {
        Interval interval = intervals[i][tokens[i].token];
        if (!interval.frequency) interval = intervals[i][kEscape];
        encoder.push(which(i), interval.start, interval.frequency, kProbabilityBits);
    }
    return start;
}

}  // namespace

Classified classify(const Model &model, const Job &job, const int32_t *plane) {
    const Schedule &s = job.schedule;
    Classified result;
    result.classes = std::make_shared<Classes>();
    Classes &classes = *result.classes;
    classes.schedule = s;
    const int64_t stored_apart = s.plane ? 0 : (s.n_samples - 1) / s.columns + 1;
    const auto n = static_cast<size_t>(s.n_samples - stored_apart);
    classes.table.resize(n);
    classes.low_bits.resize(n);
    classes.offset.resize(n);
    if (!job.narrow(model) || !classify_as<int32_t>(model, job, plane, result))
        classify_as<int64_t>(model, job, plane, result);
    return result;
}

int64_t count(const Classes &classes, int64_t *counts) {
    int64_t raw = 0;
    for (size_t i = 0; i < classes.table.size(); ++i) {
        const Token token = tokenise(classes.offset[i], classes.low_bits[i]);
        ++counts[classes.table[i] * kTokens + token.token];
        raw += token.n_raw;
    }
    return raw;
}

std::vector<uint8_t> encode(const Model &model, const std::vector<std::shared_ptr<Classes>> &planes,
                            const TableMap &map, size_t n_states) {
    RansEncoder encoder(n_states);
    for (size_t i = planes.size(); i-- > 0;) {
        const Classes &classes = *planes[i];
        const Schedule &s = classes.schedule;
        size_t end = classes.table.size();
        for (int64_t top = (s.rows - 1) / kLanes * kLanes; top >= 0; top -= kLanes)
            for (int64_t step = s.end_step(top); step-- > s.first_step();) {
                const Range lanes = s.active(top, step);
                if (lanes.begin < lanes.end)
                    end = push_step(model.tables(), map, classes, end, lanes, encoder, n_states);
            }
    }
    return encoder.finish();
}

std::shared_ptr<Coded> decode(const Model &model, const Job &job, const TableMap &map,
                              RansDecoder &decoder, const int32_t *firsts) {
    const Schedule &s = job.schedule;
    for (int64_t lane = 0; !s.plane && lane < s.rows && lane * s.columns < s.n_samples; ++lane)
        if (firsts[lane] < job.lo || firsts[lane] > job.hi)
            throw Damaged("first sample of a lane lies outside of its range");
    const RansDecoder::Mark mark = decoder.mark();
    if (job.narrow(model)) {
        if (auto coded = decode_as<int32_t>(model, job, map, decoder, firsts)) return coded;
        decoder.rewind(mark);
    }
    return decode_as<int64_t>(model, job, map, decoder, firsts);
}

}  // namespace latrans
