// Memory for one call of a transform's kernel.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "transform/job.h"

namespace latrans {

// Zeroed memory, given back at once.
class Arena final : public TransformArena {
public:
    void *take(size_t nbytes) override {
        constexpr size_t align = 64;
        parts_.emplace_back(new uint8_t[nbytes + align]());
        const auto at = reinterpret_cast<uintptr_t>(parts_.back().get());
        return parts_.back().get() + (align - at % align) % align;
    }

private:
    std::vector<std::unique_ptr<uint8_t[]>> parts_;
};

}  // namespace latrans
