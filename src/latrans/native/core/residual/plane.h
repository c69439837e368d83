// One plane while it is coded, strip after strip: the twin of Workspace in residual/neighbours.py.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "residual/canvas.h"
#include "residual/job.h"
#include "residual/kernel/strip.h"
#include "residual/model.h"

namespace latrans {

template <class T>
const Loops<T> &loops(const Model &model);

template <class T>
class Plane {
public:
    Plane(const Model &model, const Job &job);

    // Strips come in order, each: begin, loops over it, end.  `firsts` are the first samples of a
    // track's lanes.
    void begin(int64_t top, const int32_t *firsts);
    void end();

    const Strip<T> &strip() const { return strip_; }

    // Enters all samples of the strip, given those of the plane; they lie in range.
    void enter(SamplesView samples);

    // The plane, once every strip has ended.
    std::shared_ptr<Coded> finish() { return std::move(coded_); }

private:
    void set_bands();
    void narrow_rows();
    int32_t *rows();
    int64_t n_there() const;
    void enter_rows(T *canvas, const int32_t *rows, int64_t origin) {
        loops<T>(model_).enter(strip_, canvas, rows, origin);
    }
    void enter_rows(T *canvas, const int64_t *rows, int64_t origin) {
        loops<T>(model_).enter_wide(strip_, canvas, rows, origin);
    }
    template <class From>
    void fill(Canvas<T> &canvas, int margin, const From *values, int64_t origin);

    const Model &model_;
    const Job &job_;
    const int64_t columns_;
    ScratchFrame scratch_;
    int32_t *rows_ = nullptr;  // of a strip, on their way from or to another type
    int64_t top_ = 0, n_lanes_ = 0;
    Canvas<T> samples_, errors_, energy_, picture_;
    struct Reference {
        Canvas<T> samples, errors, energy;
    };
    Reference references_[kMaxReferences];
    size_t n_described_ = 0;  // references whose errors the network sees
    std::shared_ptr<Coded> coded_;
    Scene<T> *scene_;
    Answer<T> answer_{};
    Strip<T> strip_{};
};

}  // namespace latrans
