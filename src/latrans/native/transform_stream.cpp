// What comes between the bands of a stream, read and written from NumPy.
#include <vector>

#include "transform_arrays.h"
#include "transform_rans.h"
#include "transform_write.h"

namespace {

using namespace latrans;

nb::bytes written(const TransformWriter &writer) {
    const std::vector<uint8_t> data = writer.finish();
    return nb::bytes(reinterpret_cast<const char *>(data.data()), data.size());
}

}  // namespace

void bind_transform_stream(nb::module_ &module) {
    nb::class_<TransformReader>(module, "TransformReader")
        .def("__init__",
             [](TransformReader *self, const nb::bytes &data, size_t n_states) {
                 new (self) TransformReader(static_cast<const uint8_t *>(data.data()), data.size(),
                                            n_states);
             })
        .def("raw", &TransformReader::raw)
        .def("symbol",
             [](TransformReader &self, Array<uint16_t, 1> frequencies) {
                 return self.symbol(frequencies.data());
             })
        .def("finish", &TransformReader::finish);
    nb::class_<TransformWriter>(module, "TransformWriter")
        .def(nb::init<size_t>())
        .def("push", &TransformWriter::push)
        .def("finish", &written);
}
