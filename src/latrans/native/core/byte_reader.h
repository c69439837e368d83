// Takes the bytes of a section apart: the twin of format/varint.py's Reader.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

#include "rans/coder.h"

namespace latrans {

class ByteReader {
public:
    ByteReader(const uint8_t *at, size_t n) : at_(at), end_(at + n) {}

    // Throw Damaged where the section ends early.
    uint8_t byte() {
        if (at_ == end_) throw Damaged("section ends early: 1 bytes wanted, 0 left");
        return *at_++;
    }
    // Unsigned LEB128 of at most 63 bits.
    uint64_t varint() {
        uint64_t value = 0;
        for (int shift = 0; shift < 63; shift += 7) {
            const uint8_t next = byte();
            value |= uint64_t{next & 127u} << shift;
            if (next < 128) return value;
        }
        throw Damaged("variable-length integer is longer than 9 bytes");
    }
    // A signed integer, of which small ones of either sign take few bytes.
    int64_t zigzag() {
        const uint64_t value = varint();
        return static_cast<int64_t>(value >> 1) ^ -static_cast<int64_t>(value & 1);
    }
    size_t left() const { return static_cast<size_t>(end_ - at_); }

private:
    const uint8_t *at_, *end_;
};

}  // namespace latrans
