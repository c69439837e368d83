// The two geometries (coding/geometry.py) as constants, so that every distance, weight and count
// of a step is known to the compiler.  Model checks that they are what Python says.
//
// Kernels include this: nothing here may end up as a function that units share.
#pragma once
#include <cstddef>
#include <cstdint>

namespace latrans {

constexpr int kLanes = 16;
constexpr int kLag = 4;  // columns that a lane of a plane runs behind the one above

struct Offset {
    int dy, dx;
};

struct Window {
    int above, left, right;
    constexpr int count() const { return above * (left + right + 1) + left; }
};

struct Term {
    int weight;
    Offset offset;
};

// Margins of a canvas, in lanes and columns, and where its cells are (residual/canvas.h).
struct Layout {
    int lag, up, down, left, right;

    // Lanes 0 to 15 of a step begin where vectors do; the lanes below those of one step and the
    // lanes above those of the next lie between.
    constexpr ptrdiff_t stride() const {
        return kLanes + (up + down + kLanes - 1) / kLanes * kLanes;
    }
    constexpr ptrdiff_t delta(ptrdiff_t dy, ptrdiff_t dx) const {
        return (dx + lag * dy) * stride() + dy;
    }
    constexpr ptrdiff_t first_step() const { return -left - lag * up; }
    constexpr ptrdiff_t end_step(ptrdiff_t columns) const {
        return columns + right + lag * (kLanes - 1 + down);
    }
};

// An alternative prediction: a sum of up to three weighted samples.
struct Alternative {
    int n_terms;
    Term terms[3];
};

constexpr int kPictureTaps = 9, kPictureReach = 1;

struct PlaneShape {
    static constexpr bool plane = true;
    static constexpr Offset base[2] = {{0, -1}, {-1, 0}};
    static constexpr int n_taps = 24;
    static constexpr Offset taps[n_taps] = {
        {0, -1},  {-1, 0},  {-1, -1}, {-1, 1},  {0, -2},  {-2, 0}, {-1, -2}, {-1, 2},
        {-2, -1}, {-2, 1},  {-2, -2}, {-2, 2},  {0, -3},  {-3, 0}, {-1, -3}, {-1, 3},
        {-3, -1}, {-3, 1},  {-2, -3}, {-2, 3},  {-3, -2}, {-3, 2}, {0, -4},  {-4, 0}};
    static constexpr int n_errors = 6;
    static constexpr Offset errors[n_errors] = {{0, -1}, {-1, 0}, {-1, -1},
                                                {-1, 1}, {0, -2}, {-2, 0}};
    static constexpr int error_weights[n_errors] = {2, 2, 1, 1, 1, 1};
    static constexpr int n_windows = 2;
    static constexpr Window windows[n_windows] = {{3, 3, 3}, {6, 10, 3}};
    static constexpr int n_alternatives = 7, n_described = 3;
    static constexpr Alternative alternatives[n_alternatives] = {
        {3, {{1, {0, -1}}, {1, {-1, 0}}, {-1, {-1, -1}}}},
        {3, {{1, {0, -1}}, {1, {-1, 1}}, {-1, {-1, 0}}}},
        {3, {{1, {-1, 0}}, {1, {-1, 1}}, {-1, {-2, 1}}}},
        {1, {{1, {0, -1}}, {}, {}}},
        {1, {{1, {-1, 0}}, {}, {}}},
        {2, {{2, {0, -1}}, {-1, {0, -2}}, {}}},
        {2, {{2, {-1, 0}}, {-1, {-2, 0}}, {}}}};
    static constexpr bool median = true;
    static constexpr int n_adaptive = 0;
    static constexpr int n_reference_taps = 13, n_near = 5;
    static constexpr Offset reference_taps[n_reference_taps] = {
        {0, 0},  {0, -1}, {0, 1},  {-1, 0}, {1, 0},  {-1, -1}, {-1, 1},
        {1, -1}, {1, 1},  {0, -2}, {0, 2},  {-2, 0}, {2, 0}};
    static constexpr int n_reference_errors = 3;
    static constexpr Offset reference_errors[n_reference_errors] = {{0, 0}, {0, 1}, {1, 0}};
    static constexpr Offset picture_errors[2] = {{0, -1}, {-1, 0}};
    static constexpr int up = 6, left = 10, right = 4;
    static constexpr int reference_reach = 2, error_reach = 1;
    static constexpr Layout layout{kLag, up, reference_reach, left + 1, right};
};

struct TrackShape {
    static constexpr bool plane = false;
    static constexpr Offset base[2] = {{0, -1}, {0, -1}};
    static constexpr int n_taps = 32;
    static constexpr Offset taps[n_taps] = {
        {0, -2},  {0, -3},  {0, -4},  {0, -5},  {0, -6},  {0, -7},  {0, -8},  {0, -9},
        {0, -10}, {0, -11}, {0, -12}, {0, -13}, {0, -14}, {0, -15}, {0, -16}, {0, -17},
        {0, -18}, {0, -19}, {0, -20}, {0, -21}, {0, -22}, {0, -23}, {0, -24}, {0, -25},
        {0, -26}, {0, -27}, {0, -28}, {0, -29}, {0, -30}, {0, -31}, {0, -32}, {0, -33}};
    static constexpr int n_errors = 8;
    static constexpr Offset errors[n_errors] = {{0, -1}, {0, -2}, {0, -3}, {0, -4},
                                                {0, -5}, {0, -6}, {0, -7}, {0, -8}};
    static constexpr int error_weights[n_errors] = {2, 2, 1, 1, 1, 1, 0, 0};
    static constexpr int n_windows = 3;
    static constexpr Window windows[n_windows] = {{0, 16, -1}, {0, 64, -1}, {0, 128, -1}};
    static constexpr int n_alternatives = 3, n_described = 3;
    static constexpr Alternative alternatives[n_alternatives] = {
        {1, {{1, {0, -1}}, {}, {}}},
        {2, {{2, {0, -1}}, {-1, {0, -2}}, {}}},
        {3, {{3, {0, -1}}, {-3, {0, -2}}, {1, {0, -3}}}}};
    static constexpr bool median = false;
    static constexpr int n_adaptive = 16;
    static constexpr int n_reference_taps = 3, n_near = 3;
    static constexpr Offset reference_taps[n_reference_taps] = {{0, 0}, {0, -1}, {0, 1}};
    static constexpr int n_reference_errors = 3;
    static constexpr Offset reference_errors[n_reference_errors] = {{0, 0}, {0, 1}, {0, 2}};
    static constexpr Offset picture_errors[2] = {{0, -1}, {0, -2}};
    static constexpr int up = 0, left = 128, right = 0;
    static constexpr int reference_reach = 1, error_reach = 2;
    static constexpr Layout layout{0, 0, 0, left + 1, error_reach};
};

template <class G>
constexpr int kGates = G::n_alternatives + G::median + (G::n_adaptive > 0) + 1;

// Network inputs come in sections that are padded to whole cells of four: a sample's own, those
// of the reconstruction, those of each reference.
constexpr int kCell = 4;
constexpr int padded(int n) { return (n + kCell - 1) / kCell * kCell; }
template <class G>
constexpr int kOwnInputs = 8 + 3 + 2 + 4 + G::n_errors + 3 + G::n_windows + G::median +
                           G::n_described + 2 * (G::n_adaptive > 0) + 1;
constexpr int kPictureInputs = kPictureTaps + 3;
template <class G>
constexpr int kReferenceInputs = G::n_reference_errors + 3 + G::n_near;

}  // namespace latrans
