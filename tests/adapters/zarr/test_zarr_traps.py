"""What Zarr does to a codec, in both formats: each test is a trap that some codec fell into."""

from __future__ import annotations

import asyncio
import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import zarr
import zarr.testing.strategies as zst
from hypothesis import HealthCheck, given, settings

from adapter_samples import (
    DTYPES,
    KINDS,
    assert_same_bits,
    chunk_files,
    create,
    every_kind,
    make_array,
    make_dtype,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore::zarr.errors.UnstableSpecificationWarning"),
    pytest.mark.filterwarnings("ignore:Consolidated metadata"),
]


# Zarr 3.1 itself cannot put void items into shards (zarr-python issue 3054).
@pytest.mark.parametrize(
    ("kind", "dtype"),
    [(k, d) for k in KINDS for d in DTYPES if k != "v3-sharded" or make_dtype(d).kind != "V"],
)
def test_every_dtype_comes_back_from_a_reopened_array(kind, dtype):
    values = make_array(dtype)
    z = create(kind, data=values, chunks=(7, 5))
    assert_same_bits(z[:], values)
    assert_same_bits(zarr.open_array(z.store, mode="r")[:], values)


@every_kind
class TestValues:
    @pytest.mark.parametrize("stored", ["<i2", ">i2"])
    @pytest.mark.parametrize("given_order", ["<i2", ">i2"])
    def test_byte_order_of_values_and_of_the_array_may_differ(self, kind, stored, given_order):
        # Zarr compares dtypes by name, and both orders are called int16.
        values = make_array(given_order)
        z = create(kind, shape=values.shape, dtype=stored, chunks=values.shape)
        z[:] = values
        for found in (z[:], zarr.open_array(z.store)[:]):
            np.testing.assert_array_equal(found, values)

    @pytest.mark.parametrize("order", ["C", "F"])
    @pytest.mark.parametrize("value_order", ["C", "F"])
    @pytest.mark.parametrize("chunks", [(20, 12), (6, 5), (20, 1), (1, 12)])
    def test_memory_order_of_values_and_of_the_array_may_differ(
        self, kind, order, value_order, chunks
    ):
        values = np.asarray(make_array("<i4"), order=value_order)
        z = create(kind, data=values, chunks=chunks, order=order)
        assert_same_bits(z[:], values)
        assert_same_bits(zarr.open_array(z.store)[:], values)

    @pytest.mark.parametrize(
        "view",
        [
            lambda a: a[::2, ::3],
            lambda a: a[::-1, ::-1],
            lambda a: np.broadcast_to(a[:1], a.shape),
            lambda a: a.T,
        ],
    )
    def test_values_that_are_not_contiguous(self, kind, view):
        values = view(make_array("<f4"))
        z = create(kind, data=values, chunks=values.shape)
        assert_same_bits(z[:], values.copy())

    def test_read_only_values_and_values_are_left_alone(self, kind):
        values = make_array("<f4")
        kept = values.copy()
        values.flags.writeable = False
        assert_same_bits(create(kind, data=values, chunks=values.shape)[:], kept)
        assert values.tobytes() == kept.tobytes()

    def test_nan_payloads_and_negative_zero(self, kind):
        words = np.array([0x7FC00001, 0xFFC12345, 0x7F800000, 0xFF800000, 0x80000000, 1], "u4")
        values = np.resize(words, (12, 12)).view("<f4")
        assert_same_bits(create(kind, data=values, chunks=(6, 6))[:], values)

    def test_arrays_without_elements(self, kind):
        z = create(kind, shape=(0, 4), dtype="<f4", chunks=(2, 2))
        assert z[:].shape == (0, 4)
        z.append(np.ones((3, 4), "<f4"))
        np.testing.assert_array_equal(z[:], np.ones((3, 4)))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "v3-sharded"])
@pytest.mark.parametrize("dtype", ["<f4", "<i2", "|b1", "<M8[s]"])
def test_zero_dimensional_arrays(kind, dtype):
    values = make_array(dtype, ())
    z = create(kind, data=values)
    assert_same_bits(z[()], values)
    assert_same_bits(zarr.open_array(z.store)[...], values)


@every_kind
class TestEdges:
    @pytest.mark.parametrize(
        ("dtype", "missing"),
        [("<u2", 65535), ("<f4", np.nan), ("<f4", 1e20), ("<M8[s]", np.datetime64("NaT", "s"))],
    )
    @pytest.mark.parametrize("chunks", [(7, 5), (16, 16), (64, 64)])
    @pytest.mark.parametrize("fill", ["none", "zero", "missing", "a value"])
    def test_edge_chunks_are_padded_with_fill(self, kind, dtype, missing, chunks, fill):
        values = make_array(dtype)
        zero = np.zeros((), dtype)[()]
        fills = {"none": None, "zero": zero, "missing": missing, "a value": values[0, 0]}
        z = create(kind, data=values, chunks=chunks, fill_value=fills[fill])
        assert_same_bits(z[:], values)
        assert_same_bits(zarr.open_array(z.store)[-3:, -3:], values[-3:, -3:])

    def test_chunks_of_fill_are_not_stored(self, kind, tmp_path):
        z = create(kind, tmp_path, shape=(8, 8), dtype="<f4", chunks=(4, 4), fill_value=np.nan)
        z[:] = np.nan
        assert chunk_files(tmp_path) == []
        assert np.isnan(z[:]).all()
        z[:4, :4] = 1
        assert len(chunk_files(tmp_path)) == 1
        assert np.nansum(z[:]) == 16
        z[:] = np.nan  # chunks that were stored go away again
        assert chunk_files(tmp_path) == []

    def test_chunks_of_fill_are_stored_when_asked_for(self, kind, tmp_path):
        with zarr.config.set({"array.write_empty_chunks": True}):
            z = create(kind, tmp_path, shape=(8, 8), dtype="<i2", chunks=(4, 4), fill_value=3)
            z[:] = 3
        assert chunk_files(tmp_path)
        np.testing.assert_array_equal(zarr.open_array(tmp_path)[:], np.full((8, 8), 3))

    def test_chunks_that_were_never_written_read_as_fill(self, kind):
        z = create(kind, shape=(9, 9), dtype="<i2", chunks=(2, 2), fill_value=-5)
        z[4, 4] = 1
        expected = np.full((9, 9), -5)
        expected[4, 4] = 1
        np.testing.assert_array_equal(z[:], expected)


@every_kind
class TestPartial:
    def test_partial_writes_read_modify_and_write(self, kind):
        expected = make_array("<i4")
        z = create(kind, data=expected, chunks=(8, 8))
        for index in [np.s_[3:11, 2:9], np.s_[0, :], np.s_[::3, ::2], np.s_[5, 5], np.s_[..., -1]]:
            z[index] = expected[index] = 7 + expected[index]
        assert_same_bits(z[:], expected)

    def test_partial_writes_of_another_byte_order_and_memory_order(self, kind):
        expected = make_array("<i4")
        z = create(kind, data=expected, chunks=(8, 8), order="F")
        patch = np.asfortranarray(make_array(">i4", (8, 7), 5))
        z[3:11, 2:9] = expected[3:11, 2:9] = patch
        assert_same_bits(z[:], expected)

    @pytest.mark.parametrize(("dtype", "max_error"), [("<f4", 0.3), ("<f4", 1e-3), ("<i2", 2)])
    def test_unaligned_writes_do_not_wear_out_the_bound(self, kind, dtype, max_error):
        # Each write decodes and encodes its whole chunk again; errors must not add up.
        expected = make_array(dtype)
        z = create(
            kind, None, {"mode": "bounded", "max_error": max_error}, data=expected, chunks=(16, 12)
        )
        for row in range(len(expected)):
            z[row] = expected[row] = np.flip(expected[row])
            error = np.abs(z[:].astype("f8") - expected.astype("f8"))
            assert error.max() <= max_error

    def test_append_and_resize(self, kind):
        values = make_array("<f8")
        z = create(kind, data=values, chunks=(6, 12), fill_value=0)
        z.append(values[:5])
        assert_same_bits(z[:], np.concatenate([values, values[:5]]))
        z.resize((10, 14))
        expected = np.zeros((10, 14))
        expected[:, :12] = values[:10]
        np.testing.assert_array_equal(z[:], expected)

    def test_other_selections(self, kind):
        values = make_array("<u2")
        z = create(kind, data=values, chunks=(7, 5))
        rows, columns = [0, 9, 19], [1, 11]
        assert_same_bits(z.oindex[rows, columns], values[np.ix_(rows, columns)])
        assert_same_bits(z.vindex[[3, 8, 19], [2, 0, 11]], values[[3, 8, 19], [2, 0, 11]])
        assert z[13, 4] == values[13, 4]
        mask = values > np.median(values)
        assert_same_bits(z.vindex[mask], values[mask])


@every_kind
class TestConcurrency:
    def test_threads_share_one_array(self, kind):
        # Chunks that share a shard may not be written at once: that is Zarr's own rule.
        rows = 8 if kind == "v3-sharded" else 4
        values = make_array("<u2", (64, 16))
        z = create(kind, shape=values.shape, dtype="<u2", chunks=(4, 8))

        def write(at: int) -> None:
            z[at : at + rows] = values[at : at + rows]

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(write, range(0, 64, rows)))
            for found in pool.map(lambda _: z[:], range(8)):
                assert_same_bits(found, values)

    @pytest.mark.parametrize("batch_size", [1, 5, 1000])
    def test_many_chunks_in_batches_of_any_size(self, kind, batch_size):
        # Far more chunks than threads: a codec that waits for Zarr's own loop would hang here.
        values = make_array("<i2", (48, 48))
        with zarr.config.set({"codec_pipeline.batch_size": batch_size}):
            z = create(kind, data=values, chunks=(3, 4))
            assert_same_bits(z[:], values)
            z[10:30, :] = 0  # some chunks whole and empty, some partial
            values[10:30] = 0
            assert_same_bits(zarr.open_array(z.store)[:], values)

    def test_asynchronous_interface(self, kind):
        values = make_array("<i4")
        z = create(kind, shape=values.shape, dtype=values.dtype, chunks=(7, 5))

        async def there_and_back() -> Any:
            await z.async_array.setitem(slice(None), values)
            parts = [z.async_array.getitem((slice(i, i + 5), slice(None))) for i in (0, 5, 10, 15)]
            return np.concatenate(await asyncio.gather(*parts))

        assert_same_bits(zarr.core.sync.sync(there_and_back()), values)

    def test_pickled_arrays(self, kind, tmp_path):
        values = make_array("<i4")
        z = create(kind, tmp_path, data=values, chunks=(7, 5))
        again = pickle.loads(pickle.dumps(z))
        assert_same_bits(again[:], values)
        again[:7, :5] = 0
        assert (z[:7, :5] == 0).all()


@every_kind
class TestProperties:
    """Zarr's own strategies for arrays, chunks and selections."""

    @settings(
        max_examples=25,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(data=st.data())
    def test_reading_and_writing_equals_numpy(self, kind, data):
        shapes = zst.npst.array_shapes(max_dims=3, max_side=6)
        values, chunks = data.draw(zst.np_array_and_chunks(arrays=zst.numpy_arrays(shapes=shapes)))
        z = create(kind, data=values, chunks=chunks)
        np.testing.assert_array_equal(z[:], values)
        index = data.draw(zst.basic_indices(shape=values.shape))
        np.testing.assert_array_equal(z[index], values[index])
        z_index, np_index = data.draw(zst.orthogonal_indices(shape=values.shape))
        np.testing.assert_array_equal(z.oindex[z_index], values[np_index])
        expected = values.copy()
        expected[index] = new = (
            values[index][..., ::-1] if np.ndim(values[index]) else values[index]
        )
        z[index] = new
        np.testing.assert_array_equal(zarr.open_array(z.store)[:], expected)


def test_samples_have_the_dtypes_that_they_name():
    assert all(make_array(name).dtype == make_dtype(name) for name in DTYPES)
