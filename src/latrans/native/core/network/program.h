// Programs on int32 carriers: the compiled twin of engine/reference.py.
//
// Every layer becomes rows times columns: the patch under each output position is copied into a
// row, and rows meet weights in blocks small enough to stay in registers.  `Program.check` has
// proven every accumulator below 2^24 before anything comes here, so int32 cannot overflow.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace latrans {

struct ItemShape {
    size_t channels, height, width;
    size_t size() const { return channels * height * width; }
};

// Weights (n_out, n_in, kh, kw), a bias and a shift for each output, limits of what goes on,
// strides.
struct ConvSource {
    const int8_t *weights;
    const int32_t *bias;
    const uint8_t *shift;
    size_t n_out, n_in, kh, kw;
    int32_t lo, hi;
    size_t sh, sw;
};

class ConvProgram {
public:
    explicit ConvProgram(size_t channels) : channels_(channels) {}

    void add_shuffle(size_t fh, size_t fw);
    // Throws std::invalid_argument where it takes another number of channels.
    void add_conv(const ConvSource &source);

    // What items of this shape become.
    ItemShape output(ItemShape shape) const;
    // Items (items, shape) to (items, output(shape)).
    void run(const int32_t *input, size_t items, ItemShape shape, int32_t *out) const;

    struct Step {
        bool shuffle = false;
        size_t fh = 1, fw = 1;                            // shuffle
        size_t in = 0, out = 0, kh = 1, kw = 1, sh = 1, sw = 1;  // weighted
        int32_t lo = 0, hi = 0;
        std::vector<int32_t> panels;  // (out / kLanes, depth, kLanes), padded with zeros
        std::vector<int32_t> bias;
        std::vector<uint8_t> shift;
    };

private:
    size_t channels_;
    std::vector<Step> steps_;
};

}  // namespace latrans
