// What the step kernel is given and what it answers.
//
// A step looks at up to 16 samples, one per lane.  All planes it reads lie in skewed canvases
// (residual/canvas.h), where a neighbour is at one fixed distance for all lanes and steps, so that
// vectors of lanes are plain loads.  Values are relative to the plane's smallest sample.
//
// Two carriers.  int64 serves every plane.  int32 serves planes of up to 16 bits; what keeps its
// arithmetic below 2^31 is listed here and referred to as [B]:
//   samples, relative                              0 .. 2^16 - 1
//   taps minus reference level                     below 2^17 in magnitude, at most 64 taps
//   weights                                        16 bits
//   prediction minus reference level, 8 fraction bits   below 2^24, or the step returns false
//   errors and sigma, 8 fraction bits              below 2^25: 128 of them fit 32 bits unsigned
//   energy = 1.2 errors + 5                        below 2^26: 8 of them fit 31 bits
//   alternatives minus prediction                  below 2^28, or the step returns false
//   their gated sum, in 1/64                       below 2^29, or the step returns false
//   weights and inputs of the adaptive filter      at most 2^18 and 127, 32 of each
//   what it foretells: up to 4 energies            at most 2^28
// With int64 these are 2^32, 2^34 (256 taps), 2^45 (where predictions saturate), 2^46 (128 errors
// are exact in a double) and 2^47.
#pragma once
#include <cstddef>
#include <cstdint>

#include "residual/kernel/shapes.h"

namespace latrans {

constexpr int kMaxTaps = 256;
constexpr int kMaxReferences = 8, kMaxGates = 9, kMaxDescribed = 2;
constexpr int kMaxAdaptive = 16, kMaxWindows = 3;
constexpr int kMaxPairs = 72;  // of weights, of the sample's own taps and of references'
constexpr int64_t kNarrowLimit = int64_t{1} << 24, kWideLimit = int64_t{1} << 45;
constexpr int kFilterLimit = 1 << 18, kPredictionLimit = 1 << 12, kFilterStep = 32;
constexpr int kTableSteps = 64;
constexpr int32_t kLeastStep = 9, kMostStep = 255;
constexpr int kOutputBlock = 8;  // outputs of a layer that the kernel sums side by side

struct DenseLayer {
    int n_in, n_out;           // n_out is a multiple of kOutputBlock; the last ones are zeros
    const int32_t *weights;    // (n_out / kOutputBlock, pairs of inputs, kOutputBlock), two int16
    const int32_t *bias, *shift;
    int32_t lo, hi;
};

// A layer whose inputs are bytes, four to a cell (residual/kernel/int8_network.h).
struct ByteLayer {
    int n_cells, n_out;      // n_out is a multiple of kCell
    const int32_t *weights;  // per block of outputs (cells, outputs of the block), four int8
    const int32_t *bias;     // with all constants: half of what is dropped, zeros of the inputs
    const int32_t *shift;
    const int32_t *lo, *hi;  // per output
    uint32_t least, most, flip;  // of outputs that are bytes, in every byte; flip adds 128
};

// One of the networks of a model.
struct Network {
    int n_references;  // that it sees
    int n_layers, n_inputs;
    const DenseLayer *layers;
    const ByteLayer *byte_layers;  // null where values between layers are no bytes
};

// What a model says about steps.
struct Plan {
    bool plane, flat, has_picture;
    int n_taps, n_own_taps;  // n_own_taps counts the reconstruction's
    int n_reference_taps;
    int32_t trained[kMaxTaps];
    int32_t trained_pairs[kMaxPairs], trained_sum;  // of the taps without the reconstruction's
    int32_t log_counts[kMaxWindows];  // of the windows' samples
    int32_t tails[2];
    // By step of an octave: logarithm less that of a straight line, and the reciprocal.
    alignas(64) uint8_t log_errors[kTableSteps];
    alignas(64) int32_t log_errors32[kTableSteps], reciprocals[kTableSteps];
    alignas(64) float reciprocal_reals[kTableSteps];  // * 2^-10
};

// One plane, and the strip of it that is being coded.  Pointers are to lane 0 at step 0.
template <class T>
struct Scene {
    const Plan *plan;
    const Network *network;  // null: the prediction is taken as it is
    const T *samples, *errors, *picture;  // picture is the reconstruction, or null
    struct {
        const T *samples, *errors, *energy;
    } references[kMaxReferences];
    int n_references;
    T largest;  // sample
    int32_t step, per_step, log_step;  // samples lie this far apart; 65536 and log2 of it
    bool first_row;
    bool wide_sums;  // sums of weighted taps may exceed T
    alignas(64) T weights[kMaxTaps][kLanes];
    // The same two by two, as int16: of the taps, then of each weighed reference's; and sums.
    int n_weighed;
    alignas(64) int32_t pairs[kMaxPairs][kLanes];
    alignas(64) T weight_sums[1 + kMaxReferences][kLanes];
    // Prediction = (sum << up) >> down, |sum >> 8| <= limit.
    alignas(64) T up[kLanes], down[kLanes], limit[kLanes];
    alignas(64) T sigma[kLanes], log_sigma[kLanes];
};

template <class T>
struct Answer {
    alignas(64) T prediction[kLanes], energy[kLanes], level[kLanes], centre[kLanes];
    alignas(64) T anchor[kLanes];  // sample = anchor + step * coded value
    alignas(64) T delta[kLanes];   // prediction minus reference level
    // Alternatives minus reference level, then what the filter predicts, then the trained
    // prediction minus reference level; the last two with 8 fraction bits.
    alignas(64) T gates[kMaxGates][kLanes];
    // The adaptive filter of every lane, kept between steps: residual/nlms.py.
    alignas(64) T filter[kMaxAdaptive][kLanes], seen[kMaxAdaptive][kLanes];
    alignas(64) T predicted_error[kLanes], mean_abs_miss[kLanes];
    alignas(64) T sums[kMaxWindows][kLanes];  // box sums, modulo 2^32 or 2^64; kept between steps
    alignas(64) int32_t flat[kLanes], log_energy[kLanes], phase[kLanes], flip[kLanes];
    alignas(64) int32_t table[kLanes], low_bits[kLanes];
    // Network inputs, and twice what comes between layers, (n, kLanes) each; on vectors' bounds.
    int32_t *rows[3];
};

// What it takes to conclude one lane, besides its network inputs, as another lane.  Units of
// different instruction sets must not share it.
namespace {
template <class T>
void copy_lane(const Answer<T> &from, int lane, Answer<T> &to, int as) {
    to.prediction[as] = from.prediction[lane];
    to.energy[as] = from.energy[lane];
    to.level[as] = from.level[lane];
    to.delta[as] = from.delta[lane];
    for (int k = 0; k < kMaxGates; ++k) to.gates[k][as] = from.gates[k][lane];
    to.flat[as] = from.flat[lane];
    to.log_energy[as] = from.log_energy[lane];
}
}  // namespace

}  // namespace latrans
