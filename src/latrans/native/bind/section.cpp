// Bindings of residual sections: arguments are checked here, then decoded without the GIL.
#include "bindings.h"

#include <memory>
#include <mutex>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include "arrays.h"
#include "gil.h"
#include "require.h"
#include "residual/section.h"

namespace nb = nanobind;
using namespace latrans;

namespace {

using Shape = std::tuple<int64_t, int64_t, int64_t>;  // rows, columns, samples that exist
using Picture = Array<int32_t, 2>;
using Room = nb::ndarray<int32_t, nb::ndim<3>, nb::c_contig, nb::device::cpu>;

const uint8_t *start_of(const nb::bytes &data) {
    return static_cast<const uint8_t *>(data.data());
}

std::shared_ptr<SectionModel> make_model(std::shared_ptr<const Model> model,
                                         std::vector<int32_t> weights, int shift,
                                         std::vector<int64_t> sigmas,
                                         std::vector<std::vector<int>> networks) {
    auto made = std::make_shared<SectionModel>(SectionModel{
        std::move(model), std::move(weights), shift, std::move(sigmas), std::move(networks)});
    made->check();
    return made;
}

using Pictures = std::optional<std::vector<Picture>>;

std::vector<Piece> pieces_of(const std::vector<Shape> &shapes, const Pictures &pictures) {
    require(!pictures || pictures->size() == shapes.size(), "every plane needs a reconstruction");
    std::vector<Piece> pieces;
    for (const auto &[rows, columns, n_samples] : shapes) {
        const Picture *picture = pictures ? &(*pictures)[pieces.size()] : nullptr;
        require(!picture || (int64_t(picture->shape(0)) == rows &&
                             int64_t(picture->shape(1)) == columns),
                "reconstruction has another shape than its plane");
        pieces.push_back({rows, columns, n_samples, picture ? picture->data() : nullptr});
    }
    return pieces;
}

// A decoder, and what it reads from; samples start at byte `body` of the section.
struct OpenSection {
    OpenSection(std::shared_ptr<const SectionModel> source, const nb::bytes &header,
                nb::bytes whole, size_t body, const std::vector<Shape> &shapes, size_t horizon,
                Pictures under)
        : section(std::move(whole)),
          pictures(std::move(under)),
          decoder(std::move(source), ByteReader(start_of(header), header.size()),
                  start_of(section) + body, section.size() - body, pieces_of(shapes, pictures),
                  horizon) {}

    const nb::bytes section;
    const Pictures pictures;
    SectionDecoder decoder;
    std::mutex mutex;
};

auto open_section(std::shared_ptr<const SectionModel> source, const nb::bytes &header,
                  nb::bytes section, size_t body, const std::vector<Shape> &shapes, size_t horizon,
                  Pictures pictures) {
    require(body <= section.size(), "a section starts beyond its end");
    return std::make_unique<OpenSection>(std::move(source), header, std::move(section), body,
                                         shapes, horizon, std::move(pictures));
}

auto next_planes(OpenSection &open, int64_t n_samples) {
    const GilReleased release;
    const std::lock_guard lock(open.mutex);
    return open.decoder.next(n_samples);
}

// One plane of a section whose header is not compressed; null where it is, or is damaged.
std::shared_ptr<Coded> decode_small_plane(const std::shared_ptr<const SectionModel> &source,
                                          const uint8_t *section, size_t nbytes,
                                          const Piece &piece) {
    try {
        ByteReader reader(section, nbytes);
        const uint64_t length = reader.varint();
        if (length & 1 || length >> 1 > reader.left()) return nullptr;
        const auto n_header = static_cast<size_t>(length >> 1);
        const uint8_t *header = section + nbytes - reader.left();
        SectionDecoder decoder(source, ByteReader(header, n_header), header + n_header,
                               reader.left() - n_header, {piece}, 1);
        return decoder.next(1).front();
    } catch (const Damaged &) {
        return nullptr;
    } catch (const std::invalid_argument &) {
        return nullptr;
    }
}

// Fills planes, one of each section, and says of each whether it could.
std::vector<bool> decode_alone_each(const std::shared_ptr<const SectionModel> &source,
                                    const std::vector<nb::bytes> &sections, Room planes) {
    const size_t n = planes.shape(0), size = planes.shape(1) * planes.shape(2);
    require(sections.size() == n, "every plane needs a section");
    const auto n_samples = static_cast<int64_t>(size);
    const Piece piece{int64_t(planes.shape(1)), int64_t(planes.shape(2)), n_samples, nullptr};
    std::vector<std::pair<const uint8_t *, size_t>> views;
    for (const nb::bytes &section : sections)
        views.emplace_back(start_of(section), section.size());
    std::vector<bool> done(n);
    const GilReleased release;
    for (size_t i = 0; i < n; ++i) {
        const auto coded = decode_small_plane(source, views[i].first, views[i].second, piece);
        if (!coded) continue;
        coded->given().copy(0, n_samples, planes.data() + i * size);
        done[i] = true;
    }
    return done;
}

}  // namespace

void bind_section(nb::module_ &module) {
    nb::class_<OpenSection>(module, "ResidualSection").def("next", &next_planes);
    nb::class_<SectionModel>(module, "ResidualSections")
        .def(nb::new_(&make_model))
        .def("open", &open_section, nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(),
             nb::arg().none())
        .def("decode_alone_each", &decode_alone_each);
}
