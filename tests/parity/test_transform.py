"""The parts of the lossy transform: what can be undone is, and engines agree on every integer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latrans.errors import CodecError, ModelError
from latrans.transform import colour, contexts, low, section, signs
from latrans.transform.bands import Subband, bands, n_levels
from latrans.transform.lifting import join, split
from latrans.transform.predict import expected
from latrans.transform.symbols import ESCAPE, MAX_MAGNITUDE, raw_length, tokenise, untokenise
from latrans.transform.transform import Transform
from synthetic_transform import make_transform

ENGINES = ("reference", "native")
SHAPES = [(1, 1), (1, 40), (37, 1), (2, 3), (16, 17), (33, 50), (5, 70)]


@pytest.fixture(scope="module")
def transform() -> Transform:
    return make_transform()


def smooth(shape: tuple[int, ...], seed: int = 0, scale: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    wave = np.sin(np.indices(shape).sum(0) / 5)
    return np.rint(scale * (120 + 70 * wave + rng.normal(0, 6, shape))).astype(np.int64)


def decoded(
    transform: Transform, engine: str | None, data: bytes, shape: tuple[int, int, int]
) -> np.ndarray:
    return np.concatenate([p for _, p, _ in section.decode(transform, engine, data, shape)])


def analyse(plane: np.ndarray, levels: int) -> tuple[np.ndarray, list[list[np.ndarray]]]:
    details = []
    for _ in range(levels):
        plane, *detail = split(plane)
        details.append(detail)
    return plane, details


class TestWavelet:
    @given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32))
    def test_synthesis_undoes_analysis_of_any_size(self, rows, columns, seed):
        plane = np.random.default_rng(seed).integers(-(2**40), 2**40, (rows, columns))
        low, details = analyse(plane, n_levels(rows, columns))
        for detail in reversed(details):
            low = join(low, *detail)
        assert np.array_equal(low, plane)

    @given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32))
    def test_engines_agree_also_where_numbers_wrap(self, rows, columns, seed):
        reference, native = (make_transform().backend(e) for e in ("reference", "native"))
        plane = np.random.default_rng(seed).integers(-(2**63), 2**63 - 1, (rows, columns))
        parts = native.split(plane)
        assert all(map(np.array_equal, parts, reference.split(plane)))
        assert np.array_equal(native.join(*parts), plane)
        assert np.array_equal(reference.join(*parts), plane)

    @given(st.integers(1, 3000), st.integers(1, 3000))
    def test_bands_hold_as_many_coefficients_as_the_plane_samples(self, rows, columns):
        every = bands(rows, columns)
        assert sum(b.rows * b.columns for b in every) == rows * columns
        assert max(every[0].rows, every[0].columns) <= 16 or every[0].level == 8

    def test_a_step_of_one_band_is_the_same_error_as_of_another(self):
        for level in (1, 2, 3):
            for kind in range(1, 4):
                band = Subband(level, kind, 1, 1)
                parts = [np.zeros((128 >> level, 128 >> level), np.int64) for _ in range(4)]
                parts[kind][8, 8] = band.step(1 << 20)
                plane = join(*parts)
                for _ in range(level - 1):
                    plane = join(plane, *(np.zeros_like(plane) for _ in range(3)))
                assert np.sqrt((plane.astype(float) ** 2).sum()) == pytest.approx(1 << 20, rel=0.02)

    def test_what_is_smooth_is_predicted(self):
        y, x = np.mgrid[0:64, 0:64]
        plane = np.rint(1e6 * np.sin(x / 2) * np.sin(y / 3)).astype(np.int64)
        low, [detail] = analyse(plane, 1)
        band = Subband(1, 1, *detail[0].shape)
        weights = np.array([[-1200, -30, 520]] * 3, np.int16)
        rest = detail[0] - expected(band, low, weights)
        assert np.abs(rest[4:-4, 4:-4]).mean() < 0.9 * np.abs(detail[0][4:-4, 4:-4]).mean()


class TestColour:
    def test_it_comes_back_within_rounding(self):
        planes = np.random.default_rng(0).integers(0, 255 << 10, (3, 9, 9))
        assert np.abs(colour.backward(colour.forward(planes)) - planes).max() < 64

    def test_the_basis_is_orthonormal(self):
        basis = np.array(colour.BASIS) / 2**14
        assert np.allclose(basis @ basis.T, np.eye(3), atol=1e-4)


class TestSymbols:
    @given(st.lists(st.integers(0, MAX_MAGNITUDE), min_size=1))
    def test_magnitudes_come_back_from_token_and_raw_bits(self, values):
        token, n_raw, raw = tokenise(np.array(values))
        assert (token < ESCAPE).all()
        assert np.array_equal(n_raw, raw_length(token))
        assert (raw >> n_raw == 0).all()
        assert untokenise(token, raw).tolist() == values

    @given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32))
    def test_the_low_band_comes_back_from_its_differences(self, rows, columns, seed):
        values = np.random.default_rng(seed).integers(-99, 99, (rows, columns))
        assert np.array_equal(low.predicted_sum(low.predicted_difference(values)), values)


class TestContexts:
    def test_inputs_fit_the_network_whatever_the_data(self):
        band = Subband(1, 3, 5, 7)
        huge = np.full((5, 7), MAX_MAGNITUDE)
        picture = np.full((6, 8), -(2**63))
        others = [huge, huge]
        around = contexts.Surroundings(band, huge[:3, :4], 255, others, others, picture, 1)
        assert around.inputs(255).min() >= -127
        assert contexts.causal(contexts.gather(contexts.canvas(5, 7) + MAX_MAGNITUDE)).max() == 127

    def test_a_gain_of_data_and_step_alike_changes_nothing(self, transform):
        planes = smooth((1, 40, 50))
        small = section.encode(transform, None, planes, 8 << 10, False)
        large = section.encode(transform, None, planes * 64, 64 * 8 << 10, False)
        assert abs(len(small) - len(large)) <= 8


class TestSection:
    @pytest.mark.parametrize("shape", SHAPES)
    @pytest.mark.parametrize("step", [1 << 9, 12 << 10])
    def test_engines_write_the_same_bytes_and_read_the_same_values(self, transform, shape, step):
        planes = smooth((2, *shape))
        data, other = (
            section.encode(transform, engine, planes, step, False)
            for engine in ("reference", "native")
        )
        assert data == other
        found, other = (decoded(transform, e, data, planes.shape) for e in ("reference", "native"))
        assert np.array_equal(found, other)
        assert np.abs(found - planes).max() <= 4 * step / 1024 + 1

    def test_engines_agree_where_numbers_are_large_and_planes_many(self, transform):
        rng = np.random.default_rng(3)
        for planes, step, colours in (
            (rng.integers(-(2**30), 2**30, (1, 20, 70)), 2**25, False),
            (rng.integers(-(2**30), 2**30, (3, 20, 70)), 2**33, True),
            (smooth((3, 48, 40), scale=200), 9000, True),
            (smooth((1, 40, 860), scale=200), 90000, False),
            (rng.integers(0, 2, (6, 20, 33)) * 4000, 3 << 10, True),
        ):
            data = section.encode(transform, "native", planes, step, colours)
            assert data == section.encode(transform, "reference", planes, step, colours)
            found, other = (decoded(transform, e, data, planes.shape) for e in ENGINES)
            assert np.array_equal(found, other)

    def test_the_arranged_bands_hold_every_value(self, transform):
        planes = smooth((1, 37, 50))
        data = section.encode(transform, None, planes, 4 << 10, False)
        [(_, _, [coded])] = section.decode(transform, None, data, planes.shape)
        arranged = coded.arranged((37, 50))
        assert np.array_equal(low.predicted_difference(arranged[:10, :13]), coded.values[2, 0])
        assert np.array_equal(arranged[19:, 25:], coded.values[1, 3])

    def test_damage_is_a_codec_error_or_harmless(self, transform):
        planes = smooth((3, 20, 20))
        data = section.encode(transform, None, planes, 2 << 10, True)
        rng = np.random.default_rng(1)
        refused = 0
        for i in range(200):
            damaged = bytearray(data)
            at = i if i < 40 else int(rng.integers(len(data)))
            damaged[at] ^= int(rng.integers(1, 256))
            for engine in ("native", "reference")[: 1 + (i % 20 == 0)]:
                try:
                    found = decoded(transform, engine, bytes(damaged), planes.shape)
                except CodecError:
                    refused += 1
                else:
                    assert found.shape == planes.shape
        assert refused > 150
        for n in range(0, len(data), 31):
            with pytest.raises(CodecError):
                decoded(transform, None, data[:n], planes.shape)

    @pytest.mark.parametrize("shape", [(4, 20, 20), (10_000_000, 1, 1), (300_000, 3, 3)])
    def test_other_shapes_are_refused_at_once(self, transform, shape):
        data = section.encode(transform, None, smooth((3, 20, 20)), 2 << 10, True)
        with pytest.raises(CodecError):
            next(section.decode(transform, None, data, shape))


class TestModelFile:
    def test_it_comes_back(self, transform):
        tensors, spec = transform.to_tensors("t")
        again = Transform.from_tensors("t", tensors, spec)
        assert np.array_equal(again.tables, transform.tables)
        assert np.array_equal(again.prediction, transform.prediction)

    @pytest.mark.parametrize(
        "part", ["tables", "centroids", "prediction", "means", "sign_weights", "sign_tables"]
    )
    def test_a_part_of_another_kind_is_a_model_error(self, transform, part):
        tensors, spec = transform.to_tensors("t")
        for other in (None, tensors[f"t.{part}"].astype(np.int64), tensors[f"t.{part}"][:-1]):
            changed = {**tensors, f"t.{part}": other}
            with pytest.raises(ModelError, match=part):
                Transform.from_tensors("t", changed, spec)

    def test_tables_that_do_not_add_up_are_a_model_error(self, transform):
        for part in ("tables", "means", "sign_tables"):
            tensors, spec = transform.to_tensors("t")
            tensors[f"t.{part}"] = tensors[f"t.{part}"] + np.uint16(1)
            with pytest.raises(ModelError, match="4096"):
                Transform.from_tensors("t", tensors, spec)

    def test_a_sign_that_cannot_be_coded_is_a_model_error(self, transform):
        tensors, spec = transform.to_tensors("t")
        tensors["t.sign_tables"] = np.array([[0, 4096]] * signs.N_TABLES, np.uint16)
        with pytest.raises(ModelError, match="sign"):
            Transform.from_tensors("t", tensors, spec)

    @pytest.mark.parametrize("spec", [None, {}, {"network": None}, []])
    def test_a_description_of_another_kind_is_a_model_error(self, transform, spec):
        with pytest.raises(ModelError):
            Transform.from_tensors("t", transform.to_tensors("t")[0], spec)
