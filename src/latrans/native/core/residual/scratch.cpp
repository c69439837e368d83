#include "residual/scratch.h"

#include <cstdint>

namespace latrans {

namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kMostKept = size_t{4} << 20;

struct Block {
    Cells<unsigned char> cells;
    size_t used = 0;
};

thread_local Block block;

unsigned char *aligned(unsigned char *p) {
    const auto address = reinterpret_cast<uintptr_t>(p);
    return p + ((kAlignment - address % kAlignment) % kAlignment);
}

}  // namespace

ScratchFrame::ScratchFrame() : used_before_(block.used) {}

// What did not fit this time fits the next, unless it is much.
ScratchFrame::~ScratchFrame() {
    block.used = used_before_;
    const size_t wanted = block.cells.size() + n_more_;
    if (n_more_ && !used_before_ && wanted <= kMostKept) {
        block.cells = Cells<unsigned char>();
        more_.clear();
        block.cells = Cells<unsigned char>(wanted + wanted / 2);
    }
}

void *ScratchFrame::bytes(size_t n) {
    n = (n + kAlignment - 1) / kAlignment * kAlignment;
    const size_t with_room = n + kAlignment;
    if (with_room <= block.cells.size() - block.used) {
        unsigned char *p = aligned(block.cells.data() + block.used);
        block.used = static_cast<size_t>(p + n - block.cells.data());
        return p;
    }
    more_.emplace_back(with_room);
    n_more_ += with_room;
    return aligned(more_.back().data());
}

}  // namespace latrans
