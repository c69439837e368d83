// One plane while it is coded, step by step: the twin of Workspace in residual/gather.py.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "residual_canvas.h"
#include "residual_job.h"
#include "residual_model.h"

namespace latrans {

template <class T>
class Plane {
public:
    Plane(const Model &model, const Job &job);

    // Strips come in order, each: begin, steps, end.  `firsts` are a track's first samples.
    void begin(int64_t top, const int32_t *firsts);
    void end();

    // Answers for the active lanes of a step; false where int32 cannot carry them.
    bool look(int64_t step, Range lanes);
    const Answer<T> &answer() const { return answer_; }

    // Enters samples, relative to `lo`; all lanes of a step at once.
    void put(int64_t step, Range lanes, const T *values);

    // The plane, once every strip has ended.
    std::shared_ptr<Coded> finish() { return std::move(coded_); }

private:
    void set_bands();
    template <class From>
    void fill(Canvas<T> &canvas, int margin, const From *values, int64_t origin);
    void start_sums(int64_t lane, int64_t column);

    const Model &model_;
    const Job &job_;
    const int64_t columns_;
    int64_t top_ = 0, n_lanes_ = 0;
    Canvas<T> samples_, errors_, energy_, picture_;
    struct Reference {
        Canvas<T> samples, errors, energy;
    };
    std::vector<Reference> references_;
    size_t n_described_ = 0;  // references whose errors the network sees
    std::shared_ptr<Coded> coded_;
    std::vector<int32_t> rows_;
    std::unique_ptr<Scene<T>> scene_;
    Answer<T> answer_{};
};

}  // namespace latrans
