// A residual section being decoded, as many of its planes at a time as the caller asks for: the
// twin of `decoded` in residual/coder.py and of the reader in residual/header.py (FORMAT.md 6.6).
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "byte_reader.h"
#include "residual/coder.h"

namespace latrans {

constexpr int kNoNetwork = 7;  // in an expert's place
constexpr int kExpertShift = 5;
constexpr uint8_t kRangeBit = 1, kStepBit = 2, kMapBit = 4;  // of a section's first byte

// What the header of a section names by code.  Made once per model, used from many threads.
struct SectionModel {
    std::shared_ptr<const Model> model;
    std::vector<int32_t> weights;            // the model's own coefficients
    int shift;                               // of these
    std::vector<int64_t> sigmas;             // mean error of each code
    std::vector<std::vector<int>> networks;  // of each expert, by number of references

    // Throws std::invalid_argument.
    void check() const;
};

struct Piece {
    int64_t rows, columns, n_samples;
    const int32_t *picture;  // the reconstruction, or null
};

class SectionDecoder {
public:
    // Reads all of the header.  The body and reconstructions stay where they are until the last
    // plane is decoded.  Throws Damaged.
    SectionDecoder(std::shared_ptr<const SectionModel> source, ByteReader header,
                   const uint8_t *body, size_t nbytes, std::vector<Piece> pieces, size_t horizon);

    // Next planes, until they have `n_samples` samples; none once all were decoded.  The last is
    // handed out only where the section ends with it.  Throws Damaged, std::invalid_argument.
    std::vector<std::shared_ptr<Coded>> next(int64_t n_samples);

private:
    struct Coefficients {
        bool own;  // not the model's
        int64_t band_rows;
        int n_weights;
        std::vector<int32_t> weights;  // (bands, n_weights)
        std::vector<int32_t> shifts;
        std::vector<int64_t> sigmas;
    };
    struct Record {
        size_t expert;
        std::vector<size_t> distances;  // back to the planes that it refers to
        std::shared_ptr<const Coefficients> coefficients;
        std::vector<int32_t> firsts;  // of the lanes of a track
    };

    void read_head(ByteReader &header);
    Record read_record(ByteReader &header, size_t i, const Record *previous) const;
    std::shared_ptr<const Coefficients> read_coefficients(ByteReader &header, bool own,
                                                          int64_t rows, size_t n_references) const;
    std::vector<int32_t> read_firsts(ByteReader &header, int64_t n_lanes) const;
    Job job(size_t i) const;

    const std::shared_ptr<const SectionModel> source_;
    const std::vector<Piece> pieces_;
    const size_t horizon_;
    int32_t lo_ = 0, hi_ = 255, step_ = 1;
    TableMap map_{};
    std::vector<Record> records_;
    std::vector<bool> kept_;  // planes that later ones refer to
    std::unique_ptr<RansDecoder> decoder_;
    std::vector<std::shared_ptr<const Coded>> finished_;
    size_t at_ = 0;
};

}  // namespace latrans
