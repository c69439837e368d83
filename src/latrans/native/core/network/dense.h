// Dense layers laid out for the value kernels (values/step.h); immutable once built.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "residual/model.h"
#include "values/step.h"

namespace latrans {

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

    // Class of one site; its inputs, 0 to 255, are first bytes at fixed distances from `from`, then
    // bytes of `more`.
    size_t classify_one(const uint8_t *from, const std::vector<ptrdiff_t> &distances,
                        const uint8_t *more, int32_t *const rows[2]) const {
        const size_t n = distances.size(), group = static_cast<size_t>(kernel_->group);
        const ptrdiff_t *d = distances.data();
        size_t k = 0;
        // Words are put together in a register: loads of bytes just stored would wait for them.
        if (group == 4)
            for (; 4 * k + 4 <= n; ++k, d += 4)
                rows[0][k] = static_cast<int32_t>(from[d[0]] | from[d[1]] << 8 | from[d[2]] << 16 |
                                                  uint32_t{from[d[3]]} << 24);
        else
            for (; 2 * k + 2 <= n; ++k, d += 2) rows[0][k] = from[d[0]] | from[d[1]] << 16;
        fill(rows, k, [&](size_t i) -> int32_t {
            return i < n ? from[distances[i]] : more[i - n];
        });
        return static_cast<size_t>(kernel_->largest(answer(rows), static_cast<int>(n_out_)));
    }

    // Outputs of one site.  Input i is get(i).
    template <class Get>
    const int32_t *run(int32_t *const rows[2], Get &&get) const {
        fill(rows, 0, get);
        return answer(rows);
    }

private:
    struct Store {
        std::vector<int32_t> weights, columns, bias, shift;
    };

    const int32_t *answer(int32_t *const rows[2]) const {
        return kernel_->one(layers_.data(), static_cast<int>(layers_.size()), rows);
    }

    // Words from the k-th on.
    template <class Get>
    void fill(int32_t *const rows[2], size_t k, Get &&get) const {
        const auto group = static_cast<size_t>(kernel_->group);
        for (; k * group < n_in_; ++k) {
            int32_t values[4];
            size_t n = 0;
            for (; n < group && k * group + n < n_in_; ++n) values[n] = get(k * group + n);
            rows[0][k] = value_word(values, static_cast<int>(n), kernel_->group, base_);
        }
    }

    void add(const LayerSource &source, int32_t base, int32_t next_base);

    const ValueKernel *kernel_;
    size_t n_in_, n_out_, widest_ = 0;
    int32_t base_;
    std::vector<Store> stores_;
    std::vector<ValueLayer> layers_;
};

}  // namespace latrans
