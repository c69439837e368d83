// Bindings of programs: arguments are checked here, then run without the GIL.
#include "bindings.h"

#include <algorithm>
#include <memory>

#include <nanobind/ndarray.h>

#include "arrays.h"
#include "gil.h"
#include "network/program.h"
#include "require.h"

namespace nb = nanobind;
using namespace latrans;

namespace {

void add_conv(ConvProgram &program, Array<int8_t, 4> weight, Array<int32_t, 1> bias,
              Array<uint8_t, 1> shift, int32_t lo, int32_t hi, size_t sh, size_t sw) {
    require(bias.shape(0) == weight.shape(0) && shift.shape(0) == weight.shape(0),
            "layer does not fit its program");
    program.add_conv({weight.data(), bias.data(), shift.data(), weight.shape(0), weight.shape(1),
                      weight.shape(2), weight.shape(3), lo, hi, sh, sw});
}

nb::object run(const ConvProgram &program, Array<int32_t, 4> input) {
    const size_t items = input.shape(0);
    const ItemShape shape{input.shape(1), input.shape(2), input.shape(3)};
    const ItemShape answer = program.output(shape);
    std::unique_ptr<int32_t[]> out(new int32_t[std::max<size_t>(items * answer.size(), 1)]);
    {
        const GilReleased release;
        program.run(input.data(), items, shape, out.get());
    }
    int32_t *data = out.release();
    const nb::capsule owner(data, [](void *p) noexcept { delete[] static_cast<int32_t *>(p); });
    return nb::cast(nb::ndarray<nb::numpy, int32_t>(
        data, {items, answer.channels, answer.height, answer.width}, owner));
}

}  // namespace

void bind_program(nb::module_ &module) {
    nb::class_<ConvProgram>(module, "Program")
        .def(nb::init<size_t>())
        .def("add_shuffle", &ConvProgram::add_shuffle)
        .def("add_conv", &add_conv)
        .def("run", &run);
}
