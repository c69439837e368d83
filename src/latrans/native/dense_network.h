// Dense layers laid out for the value kernels (residual_values_step.h); immutable once built.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "residual_model.h"
#include "residual_values_step.h"

namespace latrans {

// The kernel of a name, of the fastest instruction set that runs here for "", else null.
const ValueKernel *value_kernel(const std::string &name);

// Where values pass from layer to layer; one for each thread.
struct NetworkRows {
    explicit NetworkRows(size_t widest) : values(2 * widest) {
        rows[0] = values.data();
        rows[1] = values.data() + widest;
    }
    std::vector<int32_t> values;
    int32_t *rows[2];
};

class DenseNetwork {
public:
    // Inputs lie in [lo, hi].  Throws std::invalid_argument for what the kernels cannot take.
    DenseNetwork(const std::vector<LayerSource> &layers, int32_t lo, int32_t hi,
                 const ValueKernel &kernel);
    DenseNetwork(const DenseNetwork &) = delete;

    size_t n_in() const { return n_in_; }
    size_t n_out() const { return n_out_; }
    // Values of `sites` are one after the other, for as many inputs as fill whole words.
    size_t n_filled() const { return static_cast<size_t>(layers_[0].n_words * kernel_->group); }
    size_t widest() const { return widest_; }

    // Classes of kLanes sites, whose inputs are 0 to 255.
    void classify(const uint8_t *const *inputs, int32_t *const rows[2], int32_t *classes) const {
        kernel_->sites(layers_.data(), static_cast<int>(layers_.size()),
                       static_cast<int>(n_out_), inputs, rows, classes);
    }

    // Class of one site: the largest output, the first of equals.  Input i is get(i).
    template <class Get>
    size_t classify_one(int32_t *const rows[2], Get &&get) const {
        const int32_t *outputs = run(rows, get);
        size_t found = 0;
        for (size_t i = 1; i < n_out_; ++i)
            if (outputs[i] > outputs[found]) found = i;
        return found;
    }

    // Outputs of one site.
    template <class Get>
    const int32_t *run(int32_t *const rows[2], Get &&get) const {
        const auto group = static_cast<size_t>(kernel_->group);
        for (size_t k = 0; k * group < n_in_; ++k) {
            int32_t values[4];
            size_t n = 0;
            for (; n < group && k * group + n < n_in_; ++n) values[n] = get(k * group + n);
            rows[0][k] = value_word(values, static_cast<int>(n), kernel_->group, base_);
        }
        return kernel_->one(layers_.data(), static_cast<int>(layers_.size()), rows);
    }

private:
    struct Store {
        std::vector<int32_t> weights, columns, bias, shift;
    };

    void add(const LayerSource &source, int32_t base, int32_t next_base);

    const ValueKernel *kernel_;
    size_t n_in_, n_out_, widest_ = 0;
    int32_t base_;
    std::vector<Store> stores_;
    std::vector<ValueLayer> layers_;
};

}  // namespace latrans
