"""FORMAT.md says enough about networks, residuals and latents (see test_format.py)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import independent_maps
import independent_network
import independent_reader
import independent_residual
import latrans
import synthetic
from format_reading import BASE, X, assert_same, channels, check, smooth
from latrans.models.model import Model
from latrans.residual import header
from latrans.residual.plan_input import Plan
from latrans.residual.reference_backend import ReferenceBackend


@pytest.fixture
def pieces(monkeypatch):
    """The pieces of all residual sections that the independent reader has read."""
    seen = []
    original = independent_residual.read_header

    def read_header(reader, pieces, linear):
        limits = original(reader, pieces, linear)
        seen.extend(pieces)
        return limits

    monkeypatch.setattr(independent_residual, "read_header", read_header)
    return seen


@pytest.fixture
def small_plans(monkeypatch):
    """Let small pieces have coefficients of their own."""
    for module in ("residual.plan", "residual.coder", "batch.small_coders"):
        monkeypatch.setattr(f"latrans.{module}.MIN_SAMPLES", 64)


@pytest.fixture
def small_blocks(monkeypatch):
    """Shrink the blocks and lanes of tracks, in the package and in the reader alike."""
    monkeypatch.setattr("latrans.chunk.pieces.TRACK_BLOCK", 256)
    monkeypatch.setattr("latrans.coding.schedule.TRACK_LANE", 16)
    monkeypatch.setattr(independent_maps, "TRACK_BLOCK", 256)
    monkeypatch.setattr(independent_maps, "TRACK_LANE", 16)


@pytest.mark.usefixtures("always_model", "small_plans")
@pytest.mark.parametrize(
    ("axes", "n_references"), [("zyx", 1), ("zcyx", 2), ("nzyx", 1), ("nnyx", 0)]
)
def test_stacks_with_references(models, pieces, axes, n_references):
    stack = np.random.default_rng(1).normal(500, 40, (4, 12, 16))
    stack[3] = stack[1] + stack[2]
    array = stack[1:] if len(axes) == 3 else stack.reshape(2, 2, 12, 16)
    if n_references == 1:
        array = array / 30 + 9 * stack[0]
    check(models["plane"], array.astype("i4"), axes=axes)
    assert max(len(piece.references) for piece in pieces) == n_references


@pytest.mark.usefixtures("always_model", "small_plans")
def test_coefficient_sets_and_records_that_repeat(models, pieces, monkeypatch):
    monkeypatch.setattr("latrans.residual.plan.BAND_SAMPLES", 16 * 16)
    y, x = np.mgrid[0:32, 0:16]
    plane = np.where(y < 16, 900 * np.sin(x * 1.3), 900 * np.cos(y * 1.1 + x)) + 500
    array = (plane + np.random.default_rng(0).normal(0, 1, (2, 32, 16))).astype("i2")
    check(models["plane"], array, axes="nyx")
    assert len(pieces[0].sets) > 1
    assert pieces[1].sets is pieces[0].sets


TRACKS = {
    "one": ((500,), None, 1),
    "channels": ((3, 200), "ct", 3),
    "channels last": ((200, 3), "tc", 3),
    "items": ((2, 2, 150), "nct", 4),
    "channels that are not last": ((2, 2, 150), "czt", 4),
    "no channels": ((3, 150), "nt", 3),
}


def make_track(shape, axes):
    samples = smooth(*shape) if axes is None or axes.endswith("t") else smooth(*shape[::-1]).T
    return (10 * samples).astype("i2")


@pytest.mark.usefixtures("always_model")
@pytest.mark.parametrize("name", TRACKS)
def test_tracks(models, pieces, name):
    shape, axes, n_pieces = TRACKS[name]
    check(models["track"], make_track(shape, axes), axes=axes)
    assert len(pieces) == n_pieces


@pytest.mark.usefixtures("always_model", "small_blocks")
@pytest.mark.parametrize(
    ("shape", "axes", "n_pieces"), [((520,), "t", 3), ((2, 512), "ct", 4), ((2, 2, 300), "czt", 8)]
)
def test_blocks_of_tracks(models, pieces, shape, axes, n_pieces):
    check(models["track"], make_track(shape, axes), axes=axes)
    assert len(pieces) == n_pieces
    assert len(pieces[0].lengths) == 16


@pytest.mark.usefixtures("always_model", "small_plans")
def test_tracks_with_references(models, pieces):
    first, second = np.random.default_rng(0).integers(-99, 99, (2, 300))
    array = np.stack([first, second, first + second, first - second])
    check(models["track"], array.astype("i4"), axes="ct")
    assert [len(piece.references) for piece in pieces] == [0, 0, 2, 2]


@pytest.mark.usefixtures("always_model", "small_plans", "small_blocks")
def test_lanes_with_coefficients_of_their_own(models, pieces):
    t = np.arange(256)
    array = 900 * np.sin(t * t / 900) + np.random.default_rng(0).normal(0, 1, 256)
    check(models["track"], array.astype("i4"))
    assert pieces[0].own


@pytest.mark.usefixtures("always_model")
def test_more_states(models):
    check(models["plane"], smooth(65, 64).astype("u1"))


CONV = {
    "stack": channels(2).astype("u2"),
    "odd": smooth(13, 7).astype(">i4"),
    "floats": channels(2).astype(">f4"),
    "holes": np.where(X > 20, np.nan, channels(1)[0]).astype("f4"),
    "column-major": np.asfortranarray(BASE.astype("u1")),
    "constant": np.full((9, 9), 7, "i2"),
}


@pytest.mark.usefixtures("always_model")
@pytest.mark.parametrize("mode", ["lossless", "bounded", "lossy"])
@pytest.mark.parametrize("name", CONV)
def test_convolutional_latents(models, name, mode):
    options = {"max_error": 0.5} if mode == "bounded" else {}
    frame = check(models["conv"], CONV[name], mode=mode, **options)
    assert frame.latents
    assert bool(frame.rest) == (mode != "lossy")


@pytest.mark.usefixtures("always_model", "small_blocks")
@pytest.mark.parametrize("mode", ["lossless", "lossy"])
@pytest.mark.parametrize("shape", [(301,), (2, 256)])
def test_latents_of_tracks(models, mode, shape):
    frame = check(models["conv1d"], (10 * smooth(*shape)).astype("i2"), mode=mode)
    assert frame.latents


@pytest.mark.usefixtures("always_model")
@pytest.mark.parametrize("mode", ["lossless", "lossy"])
@pytest.mark.parametrize("shape", [(8, 8), (3, 8, 8), (2, 2, 8, 8)])
@pytest.mark.parametrize("kind", ["dense", "values"])
def test_items(models, kind, shape, mode):
    array = smooth(*shape).clip(0, 255).astype("u1")
    assert check(models[kind], array, mode=mode).latents


@pytest.mark.parametrize("n", [5000, 33000])
def test_many_latents(models, n):
    check(models["conv1d"], (10 * smooth(n)).astype("i4"), mode="lossy")


@pytest.mark.usefixtures("always_model")
@pytest.mark.parametrize("options", [{}, {"mode": "bounded", "max_error": 2}])
def test_previews(models, options):
    array = BASE.clip(0, 255).astype("u1")
    codec = latrans.Codec(models["conv"], **options)
    data = codec.encode(array)
    assert_same(independent_reader.decode(data, models["conv"].data, True), codec.preview(data))


@pytest.mark.parametrize("kind", ["spikes", "extremes", "extremes16", "constant", "steps"])
@pytest.mark.parametrize("has_reconstruction", [False, True])
@pytest.mark.parametrize("geometry", ["plane", "track"])
@pytest.mark.parametrize("step", [1, 17])
def test_residual_sections_of_any_numbers(geometry, has_reconstruction, kind, step):
    """Random coefficients, tables full of holes, samples from end to end of 32 bits."""
    rng = np.random.default_rng([len(kind), has_reconstruction, step])
    predictor = synthetic.predictor(rng, geometry, 2, has_reconstruction)
    case = synthetic.case(
        rng, predictor, kind, 19, 9, 5, n_planes=4, n_bands=3, n_references=3, step=step
    )
    lo, hi = min(job.lo for job in case.jobs), max(job.hi for job in case.jobs)
    writer = header.HeaderWriter()
    jobs, previous = [], None
    for i, (job, references) in enumerate(zip(case.jobs, case.references, strict=True)):
        n_weights = predictor.n_own_taps + len(predictor.geometry.reference_taps) * len(references)
        missing = n_weights - len(job.bands[0].weights)
        bands = tuple(replace(b, weights=np.pad(b.weights, (0, missing))) for b in job.bands)
        plan = Plan(True, bands, job.band_rows, references, 0.0, job.expert)
        lane_first_samples = case.planes[i][:, 0] if geometry == "track" else None
        writer.plane(plan, predictor, previous, i, lane_first_samples)
        jobs.append(replace(job, bands=bands, lo=lo, hi=hi))
        previous = plan
    case = replace(case, jobs=jobs)
    head = header.pack_section(lo, hi, step, case.tables) + writer.bytes()
    coder = ReferenceBackend(predictor)
    body = case.encode(coder)
    expected = case.decode(coder, body)
    section = header.deflate(head) + body

    model = Model("any", 1, "t" if geometry == "track" else "yx", predictor)
    lengths, pictures = [], []
    for job in jobs:
        starts = range(0, job.n_samples, job.columns)
        lengths.append([min(job.columns, job.n_samples - start) for start in starts])
        picture = job.reconstruction
        pictures.append(None if picture is None else [row.tolist() for row in picture])
    found = independent_residual.decode(
        independent_network.Model(model.data), lengths, pictures, section
    )
    for one, other in zip(found, expected, strict=True):
        assert np.array_equal(one, other)
