// A band and what is around it: from NumPy arrays to what kernels take.
#pragma once
#include <optional>
#include <tuple>
#include <vector>

#include <nanobind/stl/optional.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "transform/model.h"
#include "transform_arrays.h"

namespace latrans {

using Values = Array<int32_t, 2>;
using Known = Array<int8_t, 1>;
// Parent, siblings, earlier ones, the picture at the band's level, the band's step.
using Around = std::tuple<std::optional<Values>, std::vector<Values>, std::vector<Values>,
                          std::optional<Integers>, int64_t>;

struct Placed {
    Placed(const TransformModel &model, size_t rows, size_t columns, const Around &around,
           const Known &known) {
        const auto &[parent, siblings, earlier, low, step] = around;
        if (!rows || !columns || known.shape(0) != kKnownInputs || siblings.size() > 2 ||
            earlier.size() > 2 || step < 1 || step > int64_t{1} << 50)
            throw nb::value_error("surroundings do not fit a band");
        band.rows = rows;
        band.columns = columns;
        if (parent) band.parent = grid(*parent);
        for (size_t i = 0; i < siblings.size(); ++i) band.others[i] = grid(siblings[i]);
        for (size_t i = 0; i < earlier.size(); ++i) band.others[2 + i] = grid(earlier[i]);
        band.step = step;
        if (low) {
            band.low = low->data();
            band.low_rows = low->shape(0);
            band.low_columns = low->shape(1);
            band.wide = is_wide(*low);
            if (band.low_rows < rows || band.low_columns < columns ||
                (!band.wide && step > int64_t{1} << 30))
                throw nb::value_error("the picture does not fit a band");
        }
        band.logs = &model.logs;
        band.network = &model.network;
        bias_ = model.first_bias(known.data());
        band.first_bias = bias_.data();
    }
    Placed(const Placed &) = delete;

    TransformBand band{};

private:
    static TransformGrid grid(const Values &values) {
        if (!values.size()) throw nb::value_error("a band without values is none");
        return {values.data(), values.shape(0), values.shape(1)};
    }

    std::vector<int32_t> bias_;
};

}  // namespace latrans
