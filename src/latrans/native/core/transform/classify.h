// Classes of a band whose magnitudes are known, sixteen places of a row at a time.
#pragma once
#include "transform/dense.h"
#include "transform/inputs.h"

namespace latrans {
namespace {
namespace transform_kernel {

// Causal inputs of a row from it and the two above, each with two zeros at either end.
inline void causal_row(const TransformLogs &logs, const uint16_t *const rows[3], size_t columns,
                       uint16_t *q, uint8_t *const bytes[4], uint32_t *const to[2]) {
    const uint16_t *m = rows[2], *a = rows[1], *b = rows[0];
    const size_t n = padded(columns);
    const auto told = [&](uint8_t *out, auto value) {
        for (size_t x = 0; x < columns; ++x) q[x] = static_cast<uint16_t>(value(x));
        sizes(logs, q, out, n);
    };
    const auto joined_to = [&](uint32_t *out) {
        quads(bytes[0], bytes[1], bytes[2], bytes[3], out, columns);
    };
    told(bytes[0], [&](size_t x) { return 4 * m[x - 1]; });
    told(bytes[1], [&](size_t x) { return 4 * a[x]; });
    told(bytes[2], [&](size_t x) { return 4 * a[x - 1]; });
    told(bytes[3], [&](size_t x) { return 4 * a[x + 1]; });
    joined_to(to[0]);
    told(bytes[0], [&](size_t x) { return 4 * m[x - 2]; });
    told(bytes[1], [&](size_t x) { return 4 * b[x]; });
    told(bytes[2], [&](size_t x) { return 2 * (m[x - 1] + a[x]) + a[x - 1] + a[x + 1]; });
    told(bytes[3], [&](size_t x) {
        return m[x - 1] + m[x - 2] + a[x - 2] + a[x - 1] + a[x] + a[x + 1] + a[x + 2] + b[x - 1] +
               b[x] + b[x + 1];
    });
    joined_to(to[1]);
}

// Rows of quads of a whole band, kPlaceQuads of `stride` dwords each.
void place_inputs(const TransformBand &band, uint32_t *to, size_t stride, TransformArena &arena) {
    Inputs inputs(band, arena);
    for (size_t y = 0; y < band.rows; ++y) {
        uint32_t *rows[kPlaceQuads];
        for (auto &row : rows) row = to, to += stride;
        inputs.row(y, rows);
    }
}

// Sixteen dwords of a row: those of given columns, or those from column `first` on.
inline void taken(const uint32_t *row, size_t first, const uint32_t *columns, uint32_t *to) {
    if (!columns) {
        __builtin_memcpy(to, row + first, kTransformLanes * sizeof(uint32_t));
        return;
    }
#if defined(LATRANS_AVX512)
    _mm512_store_si512(to, _mm512_i32gather_epi32(_mm512_loadu_si512(columns), row, 4));
#else
    for (int i = 0; i < kTransformLanes; ++i) to[i] = row[columns[i]];
#endif
}

void classify_band(const TransformBand &band, const uint32_t *places, size_t stride,
                   const uint16_t *magnitudes, const uint8_t *wanted, uint8_t *classes,
                   TransformArena &arena) {
    const size_t columns = band.columns;
    uint32_t *causal[kCausalQuads];
    for (auto &quad : causal) quad = row_of<uint32_t>(arena, columns);
    uint16_t *rows[3], *q = row_of<uint16_t>(arena, columns);
    for (auto &row : rows) row = row_of<uint16_t>(arena, columns);
    uint8_t *bytes[4];
    for (auto &row : bytes) row = row_of<uint8_t>(arena, columns);
    uint32_t *columns_wanted = row_of<uint32_t>(arena, columns);
    int32_t *plain[2] = {nullptr, nullptr};
    if (const int n = widest(*band.network))
        for (auto &row : plain)
            row = static_cast<int32_t *>(arena.take(static_cast<size_t>(n) * kTransformLanes * 4));
    for (size_t y = 0; y < band.rows; ++y) {
        uint16_t *own = rows[y % 3];
        const uint16_t *from = magnitudes + y * columns;
        for (size_t x = 0; x < columns; ++x) own[x] = from[x];
        const uint16_t *const around[3] = {rows[(y + 1) % 3], rows[(y + 2) % 3], own};
        causal_row(*band.logs, around, columns, q, bytes, causal);
        const uint32_t *place = places + y * kPlaceQuads * stride;
        const uint32_t *quads_of_row[kQuads];
        for (size_t g = 0; g < kPlaceQuads; ++g) quads_of_row[g] = place + g * stride;
        for (size_t g = 0; g < kCausalQuads; ++g) quads_of_row[kPlaceQuads + g] = causal[g];
        size_t n = columns;
        if (wanted) {
            n = 0;
            for (size_t x = 0; x < columns; ++x) {
                columns_wanted[n] = static_cast<uint32_t>(x);
                n += wanted[y * columns + x] != 0;
            }
            for (size_t i = n; i < n + kTransformLanes; ++i) columns_wanted[i] = 0;
        }
        uint8_t *to = classes + y * columns;
        for (size_t i = 0; i < n; i += kTransformLanes) {
            const uint32_t *columns_here = wanted ? columns_wanted + i : nullptr;
            alignas(64) uint32_t block[kQuads * kTransformLanes];
            for (int g = 0; g < kQuads; ++g)
                taken(quads_of_row[g], i, columns_here, block + g * kTransformLanes);
            alignas(64) int32_t found[kTransformLanes];
            classes_of(band, block, plain, found);
            const size_t some = least<size_t>(kTransformLanes, n - i);
            for (size_t k = 0; k < some; ++k)
                to[columns_here ? columns_here[k] : i + k] = static_cast<uint8_t>(found[k]);
        }
    }
}

}  // namespace transform_kernel
}  // namespace
}  // namespace latrans
