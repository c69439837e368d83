// Classes of a plane in coding order, as small as they are quick to write and to read.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

#include "residual/geometry.h"
#include "residual/kernel/strip.h"

namespace latrans {

// Plain items with room for `kBeside` at either end; what is added has no value yet.
template <class T>
class Growing {
public:
    T *data() { return items_.get() + kBeside; }
    void reserve(size_t n) {
        if (n <= room_ && items_) return;
        resize(n > room_ + room_ / 2 ? n : room_ + room_ / 2);
    }
    void shrink(size_t n) { resize(n); }

private:
    static constexpr size_t kBeside = 32;
    struct Free {
        void operator()(T *p) const { std::free(p); }
    };

    void resize(size_t n) {
        void *more = std::realloc(items_.get(), (n + 2 * kBeside) * sizeof(T));
        if (!more) throw std::bad_alloc();
        static_cast<void>(items_.release());
        items_.reset(static_cast<T *>(more));
        room_ = n;
    }

    std::unique_ptr<T, Free> items_;
    size_t room_ = 0;
};

// What the entropy coder needs of every sample: token and class, a byte each, and raw bits.
class Classes {
public:
    explicit Classes(const Schedule &schedule) : schedule_(schedule) {}

    const Schedule &schedule() const { return schedule_; }

    // Where the classes of `n_steps` further steps go that code `n_samples`.
    ClassBuffer &room(size_t n_samples, size_t n_steps) {
        tokens_.reserve(sink_.n + n_samples);
        tables_.reserve(sink_.n + n_samples);
        raw_.reserve(sink_.n_steps + n_steps);
        lengths_.reserve(sink_.n_lengths + n_samples);
        low_.reserve(sink_.n_lengths + n_samples);
        high_.reserve(sink_.n_high + n_samples);
        return point();
    }

    // Once all are there.
    void finish() {
        lengths_.shrink(sink_.n_lengths);
        low_.shrink(sink_.n_lengths);
        high_.shrink(sink_.n_high);
        point();
    }

    // All of them, to be read.
    const ClassBuffer &all() const { return sink_; }

private:
    ClassBuffer &point() {
        sink_.tokens = tokens_.data();
        sink_.tables = tables_.data();
        sink_.raw = raw_.data();
        sink_.lengths = lengths_.data();
        sink_.low = low_.data();
        sink_.high = high_.data();
        return sink_;
    }

    Schedule schedule_;
    Growing<uint8_t> tokens_, tables_, lengths_;
    Growing<uint16_t> raw_, low_, high_;
    ClassBuffer sink_{};
};

}  // namespace latrans
