// Writing the stream of a transform's bands, and what comes between them, from Python.
#include <vector>

#include "transform/write.h"
#include "transform_arrays.h"

namespace {

using namespace latrans;

nb::bytes written(const TransformWriter &writer) {
    const std::vector<uint8_t> data = writer.finish();
    return nb::bytes(reinterpret_cast<const char *>(data.data()), data.size());
}

}  // namespace

void bind_transform_stream(nb::module_ &module) {
    nb::class_<TransformWriter>(module, "TransformWriter")
        .def(nb::init<size_t>())
        .def("push", &TransformWriter::push)
        .def("finish", &written);
}
