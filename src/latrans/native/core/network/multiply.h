// Rows of inputs times a panel of weights; one copy per instruction set.
#pragma once
#include <cstddef>
#include <cstdint>

namespace latrans {

constexpr size_t kPanelRows = 4;    // rows of inputs that share a load of weights
constexpr size_t kPanelLanes = 16;  // outputs side by side

// acc (kPanelRows, kPanelLanes) += x (kPanelRows, depth) times panel (depth, kPanelLanes)
using Multiply = void (*)(const int32_t *x, const int32_t *panel, size_t depth, int32_t *acc);

namespace {

#if defined(__GNUC__)
// GCC left to itself splits the loops below into 128-bit pieces.
typedef int32_t PanelRow __attribute__((vector_size(4 * kPanelLanes), aligned(4), may_alias));
#else
struct PanelRow {
    int32_t lane[kPanelLanes];
    void operator+=(const PanelRow &other) {
        for (size_t o = 0; o < kPanelLanes; ++o) lane[o] += other.lane[o];
    }
    friend PanelRow operator*(int32_t x, PanelRow w) {
        for (size_t o = 0; o < kPanelLanes; ++o) w.lane[o] *= x;
        return w;
    }
};
#endif

inline void multiply(const int32_t *x, const int32_t *panel, size_t depth, int32_t *acc) {
    // `auto` would forget how these are aligned.
    const PanelRow *w = reinterpret_cast<const PanelRow *>(panel);
    PanelRow *to = reinterpret_cast<PanelRow *>(acc);
    PanelRow sum[kPanelRows];
    for (size_t r = 0; r < kPanelRows; ++r) sum[r] = to[r];
    for (size_t k = 0; k < depth; ++k)
        for (size_t r = 0; r < kPanelRows; ++r) sum[r] += x[r * depth + k] * w[k];
    for (size_t r = 0; r < kPanelRows; ++r) to[r] = sum[r];
}

}  // namespace
}  // namespace latrans
