// Programs on int32 carriers: the compiled twin of engine/reference.py.
//
// Every layer becomes rows times columns: the patch under each output position is copied into a
// row, and rows meet weights in blocks small enough to stay in registers.  `Program.check` has
// proven every accumulator below 2^24 before anything comes here, so int32 cannot overflow.
#include "bindings.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include <nanobind/ndarray.h>

#include "cpu.h"
#include "gil.h"

namespace nb = nanobind;

namespace {

using Planes = nb::ndarray<const int32_t, nb::ndim<4>, nb::c_contig, nb::device::cpu>;
using Weight = nb::ndarray<const int8_t, nb::ndim<4>, nb::c_contig, nb::device::cpu>;
using Bias = nb::ndarray<const int32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Shift = nb::ndarray<const uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

constexpr size_t kRows = 4;      // positions that share a load of weights
constexpr size_t kLanes = 16;    // output channels side by side
constexpr size_t kBlock = 64;    // positions whose patches are gathered together
constexpr size_t kGroup = 4096;  // positions that go through all layers together

#if defined(__GNUC__)
// GCC left to itself splits the loops below into 128-bit pieces.
typedef int32_t Lanes __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));
#else
struct Lanes {
    int32_t lane[kLanes];
    void operator+=(const Lanes &other) {
        for (size_t o = 0; o < kLanes; ++o) lane[o] += other.lane[o];
    }
    friend Lanes operator*(int32_t x, Lanes w) {
        for (size_t o = 0; o < kLanes; ++o) w.lane[o] *= x;
        return w;
    }
};
#endif

// acc[r] += sum over k of x[r][k] * w[k]
LATRANS_BODY void multiply_body(const int32_t *x, const Lanes *w, size_t depth, Lanes *acc) {
    Lanes sum[kRows];
    for (size_t r = 0; r < kRows; ++r) sum[r] = acc[r];
    for (size_t k = 0; k < depth; ++k)
        for (size_t r = 0; r < kRows; ++r) sum[r] += x[r * depth + k] * w[k];
    for (size_t r = 0; r < kRows; ++r) acc[r] = sum[r];
}
LATRANS_BY_CPU(void, multiply, (const int32_t *x, const Lanes *w, size_t depth, Lanes *acc),
               (x, w, depth, acc))

struct Batch {
    size_t items = 0, channels = 0, height = 0, width = 0;
    std::vector<int32_t> data;  // (items, channels, height, width)
};

struct Step {
    bool shuffle = false;
    size_t fh = 1, fw = 1;                            // shuffle
    size_t in = 0, out = 0, kh = 1, kw = 1, sh = 1, sw = 1;  // weighted
    int32_t lo = 0, hi = 0;
    std::vector<int32_t> panels;  // (out / kLanes, depth, kLanes), padded with zeros
    std::vector<int32_t> bias;
    std::vector<uint8_t> shift;
};

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
    for (size_t start = 0; start < positions; start += kBlock) {
        const size_t count = std::min(kBlock, positions - start);
        for (size_t p = 0; p < count; ++p) {
            const size_t item = (start + p) / area, at = (start + p) % area;
            gather(step, x, item, at / y.width, at % y.width, &patches[p * depth]);
        }
        for (size_t first = 0; first < step.out; first += kLanes) {
            const size_t lanes = std::min(kLanes, step.out - first);
            for (size_t p = 0; p < count; p += kRows) {
                // Rows past `count` hold older patches; their sums are not used.
                int32_t acc[kRows * kLanes];
                for (size_t r = 0; r < kRows; ++r)
                    for (size_t o = 0; o < kLanes; ++o)
                        acc[r * kLanes + o] = o < lanes ? step.bias[first + o] : 0;
                multiply(&patches[p * depth],
                         reinterpret_cast<const Lanes *>(&step.panels[first * depth]), depth,
                         reinterpret_cast<Lanes *>(acc));
                for (size_t r = 0; r < std::min(kRows, count - p); ++r) {
                    const size_t item = (start + p + r) / area, at = (start + p + r) % area;
                    int32_t *to = &y.data[(item * step.out + first) * area + at];
                    for (size_t o = 0; o < lanes; ++o) {
                        const int s = step.shift[first + o];
                        const int32_t q = (acc[r * kLanes + o] + (INT32_C(1) << (s - 1))) >> s;
                        to[o * area] = std::min(std::max(q, step.lo), step.hi);
                    }
                }
            }
        }
    }
}

class Program {
public:
    explicit Program(size_t channels) : channels_(channels) {}

    void add_shuffle(size_t fh, size_t fw) {
        Step step;
        step.shuffle = true;
        step.fh = fh;
        step.fw = fw;
        steps_.push_back(std::move(step));
        channels_ /= fh * fw;
    }

    void add_conv(Weight weight, Bias bias, Shift shift, int32_t lo, int32_t hi, size_t sh,
                  size_t sw) {
        Step step;
        step.out = weight.shape(0);
        step.in = weight.shape(1);
        if (step.in != channels_ || bias.shape(0) != step.out || shift.shape(0) != step.out)
            throw nb::value_error("layer does not fit its program");
        step.kh = weight.shape(2);
        step.kw = weight.shape(3);
        step.sh = sh;
        step.sw = sw;
        step.lo = lo;
        step.hi = hi;
        step.bias.assign(bias.data(), bias.data() + step.out);
        step.shift.assign(shift.data(), shift.data() + step.out);
        const size_t depth = step.in * step.kh * step.kw;
        step.panels.assign((step.out + kLanes - 1) / kLanes * kLanes * depth, 0);
        for (size_t o = 0; o < step.out; ++o)
            for (size_t k = 0; k < depth; ++k)
                step.panels[(o / kLanes * depth + k) * kLanes + o % kLanes] =
                    weight.data()[o * depth + k];
        channels_ = step.out;
        steps_.push_back(std::move(step));
    }

    nb::object run(Planes input) const {
        const size_t items = input.shape(0);
        Batch first{0, input.shape(1), input.shape(2), input.shape(3), {}};
        size_t height = first.height, width = first.width;
        for (const Step &step : steps_) {
            height = step.shuffle ? height * step.fh : (height + step.sh - 1) / step.sh;
            width = step.shuffle ? width * step.fw : (width + step.sw - 1) / step.sw;
        }
        const size_t in_size = first.channels * first.height * first.width;
        const size_t out_size = channels_ * height * width;
        std::unique_ptr<int32_t[]> out(new int32_t[std::max<size_t>(items * out_size, 1)]);
        {
            latrans::GilReleased release;
            const size_t group = std::max<size_t>(
                1, kGroup / std::max<size_t>(1, first.height * first.width));
            Batch x, y;
            for (size_t item = 0; item < items && out_size; item += group) {
                x = first;
                x.items = std::min(group, items - item);
                const int32_t *from = input.data() + item * in_size;
                x.data.assign(from, from + x.items * in_size);
                for (const Step &step : steps_) {
                    step.shuffle ? run_shuffle(step, x, y) : run_conv(step, x, y);
                    std::swap(x, y);
                }
                std::copy(x.data.begin(), x.data.end(), out.get() + item * out_size);
            }
        }
        int32_t *data = out.release();
        nb::capsule owner(data, [](void *p) noexcept { delete[] static_cast<int32_t *>(p); });
        return nb::cast(nb::ndarray<nb::numpy, int32_t>(
            data, {items, channels_, height, width}, owner));
    }

private:
    size_t channels_;
    std::vector<Step> steps_;
};

}  // namespace

void bind_program(nb::module_ &module) {
    nb::class_<Program>(module, "Program")
        .def(nb::init<size_t>())
        .def("add_shuffle", &Program::add_shuffle)
        .def("add_conv", &Program::add_conv)
        .def("run", &Program::run);
}
