// A dense network on sixteen items at a time: twin of a dense program.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace latrans {

constexpr int kItems = 16;

class DenseNetwork {
public:
    // Weights (out, in).  The caller has proven every accumulator below 2^24 (`Program.check`).
    void add(const int8_t *weight, const int32_t *bias, const uint8_t *shift, size_t n_in,
             size_t n_out, int32_t lo, int32_t hi, int32_t input_limit);

    size_t n_in() const { return layers_.empty() ? 0 : layers_.front().n_in; }
    size_t n_out() const { return layers_.empty() ? 0 : layers_.back().n_out; }
    // Values in a row of work space, kItems each.
    size_t widest() const { return widest_; }

    // From (n_in, kItems) in rows[0], which is overwritten; returns (n_out, kItems).
    const int32_t *run(int32_t *const rows[2]) const;

    struct Layer {
        size_t n_in, n_out;
        int32_t lo, hi;
        bool narrow;                 // inputs fit 16 bits
        std::vector<int32_t> weight;  // (out, in), or (out, ceil(in / 2)) pairs where narrow
        std::vector<int32_t> bias;
        std::vector<uint8_t> shift;
    };

private:
    std::vector<Layer> layers_;
    size_t widest_ = 0;
};

}  // namespace latrans
