// The table that a fit solves: taps of all groups and the target, scaled to a few bits.
#pragma once
#include <cstddef>
#include <cstdint>
#include <new>
#include <vector>

#include "residual/plan/fit.h"

namespace latrans {

constexpr int kColumnLimit = (1 << 13) - 1;  // of a value after scaling

// Memory for vectors.
template <class T>
class Aligned {
public:
    explicit Aligned(size_t n)
        : values_(static_cast<T *>(::operator new[](n * sizeof(T), std::align_val_t{64}))) {}
    ~Aligned() { ::operator delete[](values_, std::align_val_t{64}); }
    Aligned(const Aligned &) = delete;
    Aligned &operator=(const Aligned &) = delete;
    T *data() const { return values_; }

private:
    T *values_;
};

// Scaled columns, the right side last; rows that are too large in the plane's own do not count.
class Table {
public:
    Table(const FitKernel &kernel, const std::vector<const TapGroup *> &groups);

    const FitKernel &kernel;
    std::vector<int> drops;
    std::vector<size_t> starts;              // of the groups, and the target's
    std::vector<const int16_t *> columns;    // a multiple of the kernel's tile
    std::vector<int16_t> live, largest;
    size_t n, padded, n_live = 0;

    size_t n_taps() const { return starts.back(); }

private:
    void scale(const TapGroup &group, size_t index, Columns &out);

    std::vector<Columns> stores_;
    std::vector<int16_t> zeros_;
};

}  // namespace latrans
