// What the loops over a strip are given, one copy of them per instruction set.
//
// Plain data throughout: units of different instruction sets share no functions.
#pragma once
#include <cstddef>
#include <cstdint>

#include "rans/interval.h"
#include "residual/kernel/step.h"

namespace latrans {

// Which samples of a strip exist: n_lanes lanes, of a track n_there samples one after the other.
struct Extent {
    bool plane;
    int n_lanes;
    int64_t columns, n_there;
};

// One strip while it is coded.  Pointers are to lane 0 at step 0 of canvases.
template <class T>
struct Strip {
    Extent extent;
    const Scene<T> *scene;
    Answer<T> *answer;
    T *samples, *errors;
    T *energy;  // null where no later plane asks for it
    ptrdiff_t stride;
    int up, left, right;  // margins that samples imply
    int n_windows;
    struct {
        int above, left, right;
    } windows[kMaxWindows];
};

// How a section's tables are read: class c is served by table `map[c]`.
struct Tables {
    const uint8_t *slots;       // kProbabilities per table
    const Interval *intervals;  // kSymbols per table
    const int32_t *map;
};

constexpr int kMostWords = 5 * kLanes;  // of a stream that a step takes or looks at

// Classes in coding order; then, of those with raw bits, how many and which.  `raw` says by step
// which lanes have any.  There is room for what is to come, and for kLanes more at either end.
struct ClassBuffer {
    uint8_t *tokens, *tables;
    uint16_t *raw;
    uint8_t *lengths;
    uint16_t *low, *high;  // bits 0 to 15, and further ones of those longer than 16
    size_t n, n_steps, n_lengths, n_high;
};

// Classes that were found elsewhere: rows of a strip, one after the other.
struct ImportedRows {
    const uint8_t *tables, *low_bits;
    const int32_t *offsets;
};

// A rANS stream on the way out: words from the end of a buffer down.
struct Drain {
    uint32_t *states;
    int n_states;
    uint16_t *at;
    const uint64_t *reciprocals;  // of frequencies, in 2^-63, rounded up: quotients are exact
};
constexpr int kReciprocalBits = 63;

// Up to so many lanes several steps' samples are concluded side by side, where networks contest.
constexpr int kFewLanes = 4;

// Several networks on the same rows, and the cost of tokens by class (kTables, kTokens).
struct Contest {
    const Network *const *networks;  // null: none
    int n_networks;
    const int32_t *costs;
    int32_t per_raw_bit;
    int64_t *totals;  // one per network
    int32_t *rows[3];  // as in Answer
    ClassBuffer *into;  // one per network, for the classes; null where these are not wanted
};

enum class Outcome {
    kDone,
    kTooNarrow,   // int32 cannot carry the values
    kOutside,     // a sample lies out of range
    kTruncated,   // the stream ends too early
};

// The loops for one carrier of samples.
template <class T>
struct Loops {
    Outcome (*decode)(const Strip<T> &, const Tables &, Stream &);
    // Samples are in the canvas; with a step, what comes back replaces them.
    Outcome (*classify)(const Strip<T> &, ClassBuffer &);
    Outcome (*contest)(const Strip<T> &, const Contest &);
    // Rows of a strip into a canvas, relative to `origin`, and back.
    void (*enter)(const Strip<T> &, T *canvas, const int32_t *rows, int64_t origin);
    void (*enter_wide)(const Strip<T> &, T *canvas, const int64_t *rows, int64_t origin);
    void (*leave)(const Strip<T> &, const T *canvas, int32_t *rows, int64_t origin);
    void (*leave_wide)(const Strip<T> &, const T *canvas, int64_t *rows);
};

struct Kernel {
    const char *name;
    Loops<int32_t> narrow;
    Loops<int64_t> wide;
    // Whether n values lie within lo .. hi.
    bool (*within)(const int32_t *values, int64_t n, int64_t lo, int64_t hi);
    bool (*within_wide)(const int64_t *values, int64_t n, int64_t lo, int64_t hi);
    // Puts classes that were found elsewhere into coding order.
    void (*take)(const Extent &, const ImportedRows &, ClassBuffer &);
    // Entropy-codes the last classes of a sink, those of steps first .. end of a strip.
    void (*push)(const Extent &, int64_t first, int64_t end, ClassBuffer &, const Tables &,
                 Drain &);
};

}  // namespace latrans
