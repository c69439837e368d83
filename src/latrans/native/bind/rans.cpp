// Bindings of the entropy coder.  Arguments are checked here; the coder itself checks only what
// depends on the data that it decodes.
#include "bindings.h"

#include <exception>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>

#include "arrays.h"
#include "gil.h"
#include "rans/operations.h"
#include "require.h"

namespace nb = nanobind;
using namespace latrans;

namespace {

using Integers = Array<int64_t, 1>;
using Tables = SymbolTables<uint16_t>;

void translate(const std::exception_ptr &thrown, void *) {
    try {
        std::rethrow_exception(thrown);
    } catch (const Damaged &error) {
        PyErr_SetString(nb::module_::import_("latrans.errors").attr("CodecError").ptr(),
                        error.what());
    }
}

nb::bytes encode(Integers lane, Integers start, Integers frequency, Integers bits,
                 size_t n_states) {
    const size_t n = lane.shape(0);
    require(start.shape(0) == n && frequency.shape(0) == n && bits.shape(0) == n,
            "operations differ in number");
    std::vector<uint8_t> data;
    {
        const latrans::GilReleased release;
        data = encode_operations({lane.data(), start.data(), frequency.data(), bits.data(), n},
                                 n_states);
    }
    return nb::bytes(data.data(), data.size());
}

auto numpy(std::unique_ptr<int64_t[]> values, size_t n) {
    int64_t *data = values.release();
    const nb::capsule owner(data, [](void *p) noexcept { delete[] static_cast<int64_t *>(p); });
    return nb::ndarray<nb::numpy, int64_t>(data, {n}, owner);
}

// Symbols, each with an escape's bits or raw bits of its own right behind it.
auto pop(RansDecoder &decoder, const Tables &tables, Integers lane, Integers table,
         int64_t escape, int64_t last, Integers raw_bits) {
    const size_t n = lane.shape(0);
    require(table.shape(0) == n, "every symbol needs a lane and a table");
    require(raw_bits.shape(0) == tables.n_symbols(), "every symbol has 0 to 16 raw bits");
    std::unique_ptr<int64_t[]> symbols(new int64_t[n]), raws(new int64_t[n]);
    {
        const latrans::GilReleased release;
        const std::lock_guard lock(decoder.mutex);
        pop_symbols(decoder, tables, {lane.data(), table.data(), n, escape, last, raw_bits.data()},
                    symbols.get(), raws.get());
    }
    return std::pair(numpy(std::move(symbols), n), numpy(std::move(raws), n));
}

}  // namespace

void bind_entropy(nb::module_ &module) {
    nb::register_exception_translator(translate);
    module.def("rans_encode", &encode);
    nb::class_<Tables>(module, "RansTables")
        .def("__init__", [](Tables *self, Array<uint16_t, 2> frequencies) {
            require(frequencies.shape(1) <= kProbabilities, "a table has too many symbols");
            new (self) Tables(frequencies.data(), frequencies.shape(0), frequencies.shape(1));
        });
    nb::class_<RansDecoder>(module, "RansDecoder")
        .def("__init__",
             [](RansDecoder *self, Array<uint8_t, 1> data, size_t n_states) {
                 require(n_states >= 1 && n_states <= kMaxStates, "n_states out of range");
                 new (self) RansDecoder(data.data(), data.shape(0), n_states);
             })
        .def("pop", &pop)
        .def("pop_raw",
             [](RansDecoder &self, size_t which, int bits) {
                 require(which < self.n_states() && bits >= 1 && bits <= kMaxBits,
                         "no such state or number of bits");
                 const std::lock_guard lock(self.mutex);
                 return self.pop_raw(which, bits);
             })
        .def("pop_symbol",
             [](RansDecoder &self, const Tables &tables, size_t which, size_t table) {
                 require(which < self.n_states() && table < tables.n_tables(),
                         "no such state or table");
                 const std::lock_guard lock(self.mutex);
                 return self.pop(which, tables.slots(table), tables.intervals(table));
             })
        .def("finish", [](RansDecoder &self) {
            const std::lock_guard lock(self.mutex);
            self.finish();
        });
}
