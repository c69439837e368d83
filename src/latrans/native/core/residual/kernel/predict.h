// One step of the residual coder, for one instruction set.
#pragma once
#include "residual/kernel/features.h"
#include "residual/kernel/network.h"
#include "residual/kernel/place.h"

namespace latrans {
namespace {

// Lanes begin .. end of the vector of lanes from b on.
template <class T>
auto active_lanes(int b, int begin, int end) {
    alignas(64) static constexpr T kNumbers[kLanes] = {0, 1, 2,  3,  4,  5,  6,  7,
                                                       8, 9, 10, 11, 12, 13, 14, 15};
    const V<T> lane = load(kNumbers + b);
    return (lane >= static_cast<T>(begin)) & (lane < static_cast<T>(end));
}

// Predictions of one vector of lanes, and what the network wants to know of them if one of them
// needs it.  Returns false where int32 is too small.
template <class G, bool first_row, class T>
bool describe_lanes(const Scene<T> &scene, ptrdiff_t at, int b, int begin, int end, Answer<T> &a,
                    bool &described) {
    const Plan &p = *scene.plan;
    const Neighbourhood<G, T, first_row> around(scene, at, b);
    Known<T> known;
    around.predict(known);
    known.energy = around.expected_error();
    V<Unsigned<T>> windows[G::n_windows];
    around.slide_windows(a.sums, windows);
    const Unit<T> by_energy(p, known.energy);
    NlmsFilter<G, T> filter;
    if constexpr (G::n_adaptive > 0) filter.predict(around, by_energy, known, a);

    const auto active = active_lanes<T>(b, begin, end);
    constexpr T kAll = sizeof(T) == 4 ? 6 | 6 << 16 : 12;
    const V<T> flat = select(known.around == kAll, number<T>(p.flat), V<T>{});
    store(a.prediction + b, (known.base << 8) + known.delta);
    store(a.energy + b, known.energy);
    store(a.level + b, known.level);
    store(a.delta + b, known.delta);
    store32<T>(a.flat + b, flat);
    store32<T>(a.log_energy + b, by_energy.log - kLogBias<T>);
    if (sizeof(T) == 4 && any<T>((known.beyond < 0) & active)) return false;
    if (!scene.network || !any<T>((flat == 0) & active)) return true;

    described = true;
    Inputs inputs(a.rows[0] + b);
    const Description<G, T, first_row> description(around, known, by_energy);
    description.own_inputs(inputs, windows, filter, a);
    if (p.has_picture) description.picture_inputs(inputs);
    for (int i = 0; i < scene.network->n_references; ++i)
        description.reference_inputs(inputs, scene.references[i]);
    return true;
}

template <class T>
bool idle(int b, int begin, int end) {
    return b + width<T> <= begin || b >= end;
}

template <class G, bool first_row, class T>
bool describe_as(const Scene<T> &scene, ptrdiff_t at, int begin, int end, Answer<T> &answer,
                 bool &described) {
    for (int b = 0; b < kLanes; b += width<T>)
        if (!idle<T>(b, begin, end) &&
            !describe_lanes<G, first_row>(scene, at, b, begin, end, answer, described))
            return false;
    return true;
}

// Predictions, and if any lane needs a network its inputs.  False where int32 is too small.
template <class T>
bool describe(const Scene<T> &scene, ptrdiff_t at, int begin, int end, Answer<T> &answer,
              bool &described) {
    if (!scene.plan->plane)
        return describe_as<TrackShape, false>(scene, at, begin, end, answer, described);
    if (scene.first_row)
        return describe_as<PlaneShape, true>(scene, at, begin, end, answer, described);
    return describe_as<PlaneShape, false>(scene, at, begin, end, answer, described);
}

template <class G, class T>
void conclude_as(const Scene<T> &scene, const int32_t *outputs, int begin, int end,
                 Answer<T> &answer) {
    for (int b = 0; b < kLanes; b += width<T>)
        if (!idle<T>(b, begin, end)) place<G>(scene, b, outputs, answer);
    choose_table(scene, outputs, answer);
}

// Places and classes by a network that has been described to, or none.
template <class T>
void conclude(const Scene<T> &scene, const Network *network, int begin, int end,
              Answer<T> &answer) {
    const int32_t *outputs = network ? run_network(*network, answer.rows) : nullptr;
    if (scene.plan->plane)
        conclude_as<PlaneShape>(scene, outputs, begin, end, answer);
    else
        conclude_as<TrackShape>(scene, outputs, begin, end, answer);
}

// Fills the answer for lanes begin .. end of the step whose lane 0 lies `at` cells from the
// origin.  Returns false where a value is beyond what int32 takes.
template <class T>
bool step(const Scene<T> &scene, ptrdiff_t at, int begin, int end, Answer<T> &answer) {
    bool described = false;
    if (!describe(scene, at, begin, end, answer, described)) return false;
    conclude(scene, described ? scene.network : nullptr, begin, end, answer);
    return true;
}

}  // namespace
}  // namespace latrans
