// What is to be coded: a plane's shape and coefficients, and finished planes that it refers to.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "residual/geometry.h"
#include "residual/model.h"
#include "residual/samples_view.h"
#include "residual/scratch.h"

namespace latrans {

// A finished plane as later ones may see it, (rows, columns) each.
struct Coded {
    int64_t rows, columns, n_samples;
    int32_t lo, hi;
    bool narrow;
    bool described;          // whether there are errors and energies
    Cells<int32_t> samples;  // none where no later plane asks for them
    // Decoded samples that none asks for, in bytes of a type that holds lo .. hi.
    Cells<unsigned char> narrow_samples;
    Type type = Type::kInt32;
    Cells<int32_t> errors32, energy32;  // narrow
    Cells<int64_t> errors64, energy64;  // otherwise

    // The samples, as they are held.
    SamplesView given() const {
        if (type == Type::kInt32) return {samples.data(), type};
        return {narrow_samples.data(), type};
    }

    template <class T>
    Cells<T> &errors();
    template <class T>
    Cells<T> &energy();

    // Some rows as a plane of their own.  Throws std::invalid_argument.
    std::shared_ptr<Coded> part(int64_t top, int64_t n, int64_t n_samples_there) const;
};

template <>
inline Cells<int32_t> &Coded::errors() {
    return errors32;
}
template <>
inline Cells<int64_t> &Coded::errors() {
    return errors64;
}
template <>
inline Cells<int32_t> &Coded::energy() {
    return energy32;
}
template <>
inline Cells<int64_t> &Coded::energy() {
    return energy64;
}

// Linear prediction of one group of rows.
struct Band {
    const int32_t *weights;
    int32_t shift;
    int64_t sigma;
};

// One plane to code; `check` has seen it.
struct Job {
    Schedule schedule;
    int32_t lo, hi;
    std::vector<Band> bands;
    int64_t band_rows;
    int n_weights;
    int network;   // of the model; -1 for none
    int32_t step;  // samples are coded in multiples of this from their prediction
    std::vector<std::shared_ptr<const Coded>> references;
    const int32_t *picture;  // the reconstruction, or null
    bool keep;               // whether a later plane may refer to this one
    bool known = false;      // whether its samples are, which is when it is encoded

    // Throws std::invalid_argument.
    void check(const Model &model) const;
    // Whether int32 takes the plane, as far as can be said beforehand.
    bool narrow(const Model &model) const;
    // Whether weighted sums of a plane that int32 takes may need more.
    bool has_wide_sums(const Model &model) const;
};

}  // namespace latrans
