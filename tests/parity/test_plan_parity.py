"""The compiled planner finds the integers that the reference defines, and so the same plans."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import synthetic
from latrans.coding.schedule import track_shape
from latrans.errors import ConfigError
from latrans.residual.fit import fit
from latrans.residual.plan import plan
from latrans.residual.plan_input import PlanePlanInput
from latrans.residual.reference_backend import ReferenceBackend
from latrans.residual.trials import subsample

native = pytest.importorskip("latrans.residual.native", reason="the compiled core is not built")


def related(rng, planes, kind, scale):
    """A plane like the ones before it, or one of its kind."""
    fresh = synthetic.samples(rng, kind, *planes[0].shape)
    if rng.random() < 0.3:
        return fresh
    noise = rng.integers(-scale, scale + 1, planes[0].shape)
    return np.clip(planes[-1] + noise, -(1 << 31), (1 << 31) - 1)


def plan_inputs(rng, model, kind, rows, columns, n_planes, missing=0, kernel=""):
    """(input, candidates, backend) of every plane, for both backends, each with its own past."""
    g = model.geometry
    n_samples = rows * columns - (0 if g.is_plane else min(missing, rows * columns - 1))
    planes = [synthetic.samples(rng, kind, rows, columns)]
    while len(planes) < n_planes:
        planes.append(related(rng, planes, kind, int(rng.choice([1, 20, 3000]))))
    for p in planes:
        p.reshape(-1)[n_samples:] = p.reshape(-1)[n_samples - 1]
    lo, hi = min(int(p.min()) for p in planes), max(int(p.max()) for p in planes)
    backends = ReferenceBackend(model), native.NativeBackend(model, kernel)
    finished = [], []
    previous = [None, None]
    step, parts = int(rng.choice([1, 1, 17])), int(rng.choice([12, 40, 160]))
    for i, plane in enumerate(planes):
        picture = None
        if model.has_reconstruction:
            off = int(rng.choice([0, 9, 60000]))
            picture = plane + rng.integers(-off, off + 1, plane.shape)
            picture = np.clip(picture, -(1 << 31), (1 << 31) - 1)
        choices = [(i - 1,), (i - 2,), (i - 1, i - 2)]
        choices = [c for c in choices if min(c) >= 0]
        pair = []
        for k, backend in enumerate(backends):
            plan_input = PlanePlanInput(model, plane, n_samples, finished[k], picture, step, parts)
            chosen = plan(plan_input, choices, previous[k], trials=backend.trials(plan_input))
            pair.append(chosen)
            # Errors and energies do not matter here: a trained plan is quick to code.
            simple = plan(plan_input, (), None, may_fit=False)
            job = replace(plan_input.job(simple, lo, hi), step=1)
            finished[k].append(backend.classify(job, plane)[1])
            previous[k] = chosen
        yield pair


def assert_same(pair):
    ours, theirs = pair
    assert (ours.has_coefficients, ours.band_rows, ours.references) == (
        theirs.has_coefficients,
        theirs.band_rows,
        theirs.references,
    )
    assert ours.cost_bits == theirs.cost_bits
    assert len(ours.bands) == len(theirs.bands)
    for a, b in zip(ours.bands, theirs.bands, strict=True):
        assert (a.shift, a.sigma_code) == (b.shift, b.sigma_code)
        assert a.weights.dtype == b.weights.dtype == np.int64
        assert np.array_equal(a.weights, b.weights)


def predictor(rng, geometry, has_reconstruction=False):
    return synthetic.predictor(rng, geometry, has_reconstruction=has_reconstruction, hidden=())


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(synthetic.KINDS),
    st.integers(1, 60),
    st.integers(1, 90),
    st.integers(1, 3),
    st.booleans(),
)
@example(0, "spikes", 13, 84, 1, False)  # 7 fraction bits, and the largest values
def test_planes_are_planned_alike(seed, kind, rows, columns, n_planes, has_reconstruction):
    rng = np.random.default_rng(seed)
    model = predictor(rng, "plane", has_reconstruction)
    for pair in plan_inputs(rng, model, kind, rows, columns, n_planes):
        assert_same(pair)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(synthetic.KINDS),
    st.integers(1, 12000),
    st.integers(1, 3),
    st.booleans(),
)
def test_tracks_are_planned_alike(seed, kind, n_samples, n_planes, has_reconstruction):
    rng = np.random.default_rng(seed)
    rows, columns = track_shape(n_samples)
    model = predictor(rng, "track", has_reconstruction)
    missing = rows * columns - n_samples
    for pair in plan_inputs(rng, model, kind, rows, columns, n_planes, missing):
        assert_same(pair)


@pytest.mark.parametrize("kind", ["smooth", "wide", "spikes", "extremes"])
@pytest.mark.parametrize("shape", [(300, 500), (16, 4096)])
def test_large_pieces_in_bands_are_planned_alike(kind, shape):
    # Several bands of a plane, and the shorter blocks of a track.
    rng = np.random.default_rng(5)
    model = predictor(rng, "track" if shape[0] == 16 else "plane")
    for pair in plan_inputs(rng, model, kind, *shape, 2, missing=700):
        assert_same(pair)


@pytest.mark.parametrize("kernel", native.kernels())
@pytest.mark.parametrize("kind", ["smooth", "wide", "spikes"])
@pytest.mark.parametrize("shape", [(150, 90), (3, 4300)])
def test_every_instruction_set_plans_alike(kernel, kind, shape):
    rng = np.random.default_rng(7)
    model = predictor(rng, "track" if shape[0] == 3 else "plane")
    for pair in plan_inputs(rng, model, kind, *shape, 3, kernel=kernel):
        assert_same(pair)


def test_own_coefficients_and_references_are_chosen_where_they_pay():
    rng = np.random.default_rng(1)
    wave = 100 * np.sin(np.arange(8192) / 9) + rng.normal(0, 1, 8192)
    plane = np.rint(wave).astype(np.int64).reshape(2, 4096)
    model = predictor(rng, "track")
    plan_input = PlanePlanInput(model, plane, plane.size, [], None)
    first = plan(plan_input, (), None)
    assert first.has_coefficients
    _, coded = ReferenceBackend(model).classify(plan_input.job(first, -200, 200), plane)
    noisy = plane + rng.integers(-1, 2, plane.shape)
    assert plan(
        PlanePlanInput(model, noisy, plane.size, [coded], None), [(0,)], None
    ).references == (0,)


def test_references_of_any_scale_can_be_fitted():
    # Each group of taps is scaled by itself: a huge reference leaves the plane's own taps exact.
    rng = np.random.default_rng(2)
    own = rng.integers(-40, 41, (8, 4000))
    other = rng.integers(-40, 41, (3, 4000)) << 24
    target = own[0] + (other[0] >> 24)
    (weights, shift), (both, both_shift) = fit(
        [own, other], target, np.full(4000, 64), [(), (1,)], rounds=4
    )
    assert abs(weights[0] / (1 << shift) - 1) < 0.1
    # The reference's weight, 2**-24, rounds to nothing; the rest is found.
    assert np.array_equal(both[8:], [0, 0, 0])
    assert abs(both[0] / (1 << both_shift) - 1) < 0.01


def test_subsamples_meet_every_column():
    for columns in (1, 2, 6, 1000, 1024):
        look = subsample(columns, 0, 300 * columns, 4096)
        assert len(look) <= 4096
        assert len({p % columns for p in look}) == columns or look.step == 1


@pytest.mark.parametrize(
    "change",
    [
        {"n_samples": 0},
        {"n_samples": 10_000},
        {"plane": np.zeros((20, 9), np.int64) + (1 << 40)},
        {"reconstruction": np.zeros((9, 20), np.int64)},
    ],
    ids=["no samples", "too many", "33 bits", "reconstruction"],
)
def test_impossible_surfaces_are_refused(change):
    model = predictor(np.random.default_rng(3), "plane")
    plan_input = PlanePlanInput(model, np.zeros((20, 9), np.int64), 180, [], None)
    with pytest.raises(ConfigError):
        native.NativeBackend(model).trials(replace(plan_input, **change))


def test_trials_check_what_they_are_asked():
    model = predictor(np.random.default_rng(4), "plane")
    compiled = native.NativeBackend(model)
    plan_input = PlanePlanInput(model, np.zeros((20, 9), np.int64), 180, [], None)
    other = PlanePlanInput(model, np.zeros((9, 20), np.int64), 180, [], None)
    simple = plan(other, (), None, may_fit=False)
    _, coded = compiled.classify(other.job(simple, 0, 255), other.plane)
    trials = compiled.trials(replace(plan_input, finished=[coded]))
    weights = np.zeros(24, np.int64)
    for look in (range(0, 181), range(5, 5), range(-1, 20)):
        with pytest.raises(ValueError, match="no such samples"):
            trials.measure([look], (), [(weights, 12)])
    with pytest.raises(ValueError, match="another shape"):
        trials.fit([range(180)], [(0,)], 4)
    with pytest.raises(ValueError, match="rounds"):
        trials.fit([range(180)], [()], 0)
    with pytest.raises(ValueError, match="shift"):
        trials.measure([range(180)], (), [(weights, -1)])
    with pytest.raises(ValueError, match="16 bits"):
        trials.measure([range(180)], (), [(weights + (1 << 20), 12)])
