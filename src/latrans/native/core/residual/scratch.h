// Memory that planes of a thread use one after the other, so that small planes take none.
#pragma once
#include <cstddef>
#include <memory>
#include <vector>

namespace latrans {

// Cells that nobody clears, for what is overwritten anyway.
template <class T>
class Cells {
public:
    Cells() = default;
    explicit Cells(size_t n) : size_(n), cells_(new T[n]) {}
    T *data() { return cells_.get(); }
    const T *data() const { return cells_.get(); }
    size_t size() const { return size_; }

private:
    size_t size_ = 0;
    std::unique_ptr<T[]> cells_;
};

// Takes pieces of the thread's memory, all given back when it ends; frames nest.
class ScratchFrame {
public:
    ScratchFrame();
    ~ScratchFrame();
    ScratchFrame(const ScratchFrame &) = delete;
    ScratchFrame &operator=(const ScratchFrame &) = delete;

    // n items at an address that vectors like, with anything in them.
    template <class T>
    T *take(size_t n) {
        return static_cast<T *>(bytes(n * sizeof(T)));
    }

private:
    void *bytes(size_t n);

    size_t used_before_;
    std::vector<Cells<unsigned char>> more_;  // what the thread's block had no room for
    size_t n_more_ = 0;
};

}  // namespace latrans
