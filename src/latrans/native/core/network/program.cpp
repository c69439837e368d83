#include "network/program.h"

#include <algorithm>
#include <utility>

#include "kernels.h"
#include "require.h"

namespace latrans {

namespace {

constexpr size_t kBlock = 64;    // positions whose patches are gathered together
constexpr size_t kGroup = 4096;  // positions that go through all layers together

struct Batch {
    size_t items = 0, channels = 0, height = 0, width = 0;
    std::vector<int32_t> data;  // (items, channels, height, width)
};

using Step = ConvProgram::Step;

void run_shuffle(const Step &step, const Batch &x, Batch &y) {
    y.items = x.items;
    y.channels = x.channels / (step.fh * step.fw);
    y.height = x.height * step.fh;
    y.width = x.width * step.fw;
    y.data.resize(x.data.size());
    const int32_t *from = x.data.data();
    for (size_t plane = 0; plane < y.items * y.channels; ++plane)
        for (size_t i = 0; i < step.fh; ++i)
            for (size_t j = 0; j < step.fw; ++j)
                for (size_t row = 0; row < x.height; ++row) {
                    int32_t *to =
                        &y.data[(plane * y.height + row * step.fh + i) * y.width + j];
                    for (size_t col = 0; col < x.width; ++col) to[col * step.fw] = *from++;
                }
}

// Copies the patch under one output position; zeros beyond the border.
void gather(const Step &step, const Batch &x, size_t item, size_t row, size_t col, int32_t *patch) {
    const auto top = static_cast<ptrdiff_t>(row * step.sh) - static_cast<ptrdiff_t>(step.kh / 2);
    const auto left = static_cast<ptrdiff_t>(col * step.sw) - static_cast<ptrdiff_t>(step.kw / 2);
    const auto height = static_cast<ptrdiff_t>(x.height), width = static_cast<ptrdiff_t>(x.width);
    for (size_t c = 0; c < step.in; ++c) {
        const int32_t *plane = &x.data[(item * x.channels + c) * x.height * x.width];
        for (ptrdiff_t i = top; i < top + static_cast<ptrdiff_t>(step.kh); ++i)
            for (ptrdiff_t j = left; j < left + static_cast<ptrdiff_t>(step.kw); ++j) {
                const bool inside = i >= 0 && i < height && j >= 0 && j < width;
                *patch++ = inside ? plane[i * width + j] : 0;
            }
    }
}

void run_conv(const Step &step, const Batch &x, Batch &y) {
    y.items = x.items;
    y.channels = step.out;
    y.height = (x.height + step.sh - 1) / step.sh;
    y.width = (x.width + step.sw - 1) / step.sw;
    const size_t area = y.height * y.width, positions = y.items * area;
    const size_t depth = step.in * step.kh * step.kw;
    y.data.resize(positions * step.out);
    std::vector<int32_t> patches(kBlock * depth);
    const Multiply kernel = kernels().multiply;
    for (size_t start = 0; start < positions; start += kBlock) {
        const size_t count = std::min(kBlock, positions - start);
        for (size_t p = 0; p < count; ++p) {
            const size_t item = (start + p) / area, at = (start + p) % area;
            gather(step, x, item, at / y.width, at % y.width, &patches[p * depth]);
        }
        for (size_t first = 0; first < step.out; first += kPanelLanes) {
            const size_t lanes = std::min(kPanelLanes, step.out - first);
            for (size_t p = 0; p < count; p += kPanelRows) {
                // Rows past `count` hold older patches; their sums are not used.
                int32_t acc[kPanelRows * kPanelLanes];
                for (size_t r = 0; r < kPanelRows; ++r)
                    for (size_t o = 0; o < kPanelLanes; ++o)
                        acc[r * kPanelLanes + o] = o < lanes ? step.bias[first + o] : 0;
                kernel(&patches[p * depth], &step.panels[first * depth], depth, acc);
                for (size_t r = 0; r < std::min(kPanelRows, count - p); ++r) {
                    const size_t item = (start + p + r) / area, at = (start + p + r) % area;
                    int32_t *to = &y.data[(item * step.out + first) * area + at];
                    for (size_t o = 0; o < lanes; ++o) {
                        const int s = step.shift[first + o];
                        const int32_t q = (acc[r * kPanelLanes + o] + (INT32_C(1) << (s - 1))) >> s;
                        to[o * area] = std::min(std::max(q, step.lo), step.hi);
                    }
                }
            }
        }
    }
}

}  // namespace

void ConvProgram::add_shuffle(size_t fh, size_t fw) {
    Step step;
    step.shuffle = true;
    step.fh = fh;
    step.fw = fw;
    steps_.push_back(std::move(step));
    channels_ /= fh * fw;
}

void ConvProgram::add_conv(const ConvSource &source) {
    require(source.n_in == channels_, "layer does not fit its program");
    Step step;
    step.out = source.n_out;
    step.in = source.n_in;
    step.kh = source.kh;
    step.kw = source.kw;
    step.sh = source.sh;
    step.sw = source.sw;
    step.lo = source.lo;
    step.hi = source.hi;
    step.bias.assign(source.bias, source.bias + step.out);
    step.shift.assign(source.shift, source.shift + step.out);
    const size_t depth = step.in * step.kh * step.kw;
    step.panels.assign((step.out + kPanelLanes - 1) / kPanelLanes * kPanelLanes * depth, 0);
    for (size_t o = 0; o < step.out; ++o)
        for (size_t k = 0; k < depth; ++k)
            step.panels[(o / kPanelLanes * depth + k) * kPanelLanes + o % kPanelLanes] =
                source.weights[o * depth + k];
    channels_ = step.out;
    steps_.push_back(std::move(step));
}

ItemShape ConvProgram::output(ItemShape shape) const {
    for (const Step &step : steps_) {
        size_t &height = shape.height, &width = shape.width;
        height = step.shuffle ? height * step.fh : (height + step.sh - 1) / step.sh;
        width = step.shuffle ? width * step.fw : (width + step.sw - 1) / step.sw;
    }
    shape.channels = channels_;
    return shape;
}

void ConvProgram::run(const int32_t *input, size_t items, ItemShape shape, int32_t *out) const {
    const size_t in_size = shape.size(), out_size = output(shape).size();
    const size_t group = std::max<size_t>(
        1, kGroup / std::max<size_t>(1, shape.height * shape.width));
    Batch x, y;
    for (size_t item = 0; item < items && out_size; item += group) {
        x = Batch{std::min(group, items - item), shape.channels, shape.height, shape.width, {}};
        const int32_t *from = input + item * in_size;
        x.data.assign(from, from + x.items * in_size);
        for (const Step &step : steps_) {
            step.shuffle ? run_shuffle(step, x, y) : run_conv(step, x, y);
            std::swap(x, y);
        }
        std::copy(x.data.begin(), x.data.end(), out + item * out_size);
    }
}

}  // namespace latrans
