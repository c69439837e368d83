// Samples of a plane in any type of integer that holds them.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace latrans {

enum class Type : uint8_t { kUint8, kInt8, kUint16, kInt16, kInt32, kInt64 };

// Calls visit(null pointer to the type).
template <class Visit>
decltype(auto) with_type(Type type, Visit &&visit) {
    switch (type) {
        case Type::kUint8: return visit(static_cast<uint8_t *>(nullptr));
        case Type::kInt8: return visit(static_cast<int8_t *>(nullptr));
        case Type::kUint16: return visit(static_cast<uint16_t *>(nullptr));
        case Type::kInt16: return visit(static_cast<int16_t *>(nullptr));
        case Type::kInt32: return visit(static_cast<int32_t *>(nullptr));
        default: return visit(static_cast<int64_t *>(nullptr));
    }
}

// The smallest type for values lo .. hi.
inline Type narrowest(int32_t lo, int32_t hi) {
    if (lo >= 0 && hi <= UINT8_MAX) return Type::kUint8;
    if (lo >= 0 && hi <= UINT16_MAX) return Type::kUint16;
    if (lo >= INT8_MIN && hi <= INT8_MAX) return Type::kInt8;
    return lo >= INT16_MIN && hi <= INT16_MAX ? Type::kInt16 : Type::kInt32;
}

// Samples (rows, columns) as a caller has them.
struct SamplesView {
    const void *values;
    Type type;

    // Calls visit(pointer to the values).
    template <class Visit>
    decltype(auto) visit(Visit &&visit) const {
        return with_type(type, [&](auto *none) -> decltype(auto) {
            return visit(static_cast<const std::remove_pointer_t<decltype(none)> *>(values));
        });
    }

    int64_t at(int64_t i) const {
        return visit([&](const auto *from) { return static_cast<int64_t>(from[i]); });
    }
    // Values of at most 32 bits.
    void copy(int64_t begin, int64_t n, int32_t *to) const {
        visit([&](const auto *from) {
            std::transform(from + begin, from + begin + n, to,
                           [](auto value) { return static_cast<int32_t>(value); });
        });
    }
};

}  // namespace latrans
