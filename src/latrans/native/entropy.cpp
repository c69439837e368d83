// Bindings of the entropy coder.  Arguments are checked here; the coder itself checks only what
// depends on the data that it decodes.
#include "bindings.h"

#include <exception>

#include <nanobind/ndarray.h>
#include <nanobind/stl/shared_ptr.h>

#include "entropy_rans.h"

namespace nb = nanobind;

namespace {

using latrans::Damaged;
using latrans::RansDecoder;
using Bytes = nb::ndarray<const uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

void translate(const std::exception_ptr &thrown, void *) {
    try {
        std::rethrow_exception(thrown);
    } catch (const Damaged &error) {
        PyErr_SetString(nb::module_::import_("latrans.errors").attr("CodecError").ptr(),
                        error.what());
    }
}

}  // namespace

void bind_entropy(nb::module_ &module) {
    nb::register_exception_translator(translate);
    nb::class_<RansDecoder>(module, "RansDecoder")
        .def("__init__",
             [](RansDecoder *self, Bytes data, size_t n_states) {
                 if (n_states < 1 || n_states > 1024) throw nb::value_error("n_states out of range");
                 new (self) RansDecoder(data.data(), data.shape(0), n_states);
             })
        .def("finish", [](RansDecoder &self) {
            const std::lock_guard lock(self.mutex);
            self.finish();
        });
}
