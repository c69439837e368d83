// Order, symbols and neighbours of a band's coefficients, and its values with margins of zeros.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace latrans {

constexpr int kLanes = 16;  // rows of a strip, and coefficients side by side
constexpr int kLag = 4;  // columns that a row of a strip runs behind the one above
constexpr int kSignBuckets = 8, kSignSizes = 3, kSignTables = kSignBuckets * kSignSizes;
constexpr int32_t kSignLimit = 3;
constexpr int kDirect = 16, kTokens = kDirect + 40, kEscape = kTokens;
constexpr int kUp = 2, kMargin = 2;
constexpr int kNeighbours = 10, kSingle = 6, kCausal = kSingle + 2;

constexpr std::array<std::pair<int, int>, kNeighbours> kOffsets{
    {{0, -1}, {-1, 0}, {-1, -1}, {-1, 1}, {0, -2}, {-2, 0}, {-1, -2}, {-1, 2}, {-2, -1}, {-2, 1}}};

// Zeros at first.
class Canvas {
public:
    Canvas(size_t rows, size_t columns)
        : stride_(columns + 2 * kMargin), cells_((rows + kUp) * stride_, 0) {
        for (int i = 0; i < kNeighbours; ++i)
            deltas_[i] = kOffsets[i].first * static_cast<ptrdiff_t>(stride_) + kOffsets[i].second;
    }
    int32_t *at(size_t row, size_t column) {
        return &cells_[(row + kUp) * stride_ + kMargin + column];
    }
    ptrdiff_t delta(int i) const { return deltas_[i]; }

private:
    size_t stride_;
    std::vector<int32_t> cells_;
    std::array<ptrdiff_t, kNeighbours> deltas_;
};

}  // namespace latrans
