"""Training data of every kind gives the same samples, without being read as a whole."""

from __future__ import annotations

import gzip
import hashlib

import numpy as np
import pytest

from latrans.errors import ConfigError
from latrans.train.data import PatchSource
from latrans.train.files import Lazy, open_arrays


@pytest.fixture(scope="module")
def digits():
    return np.random.default_rng(0).integers(0, 256, (40, 12, 10), dtype=np.uint8)


def idx_bytes(array):
    code = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}[array.dtype.str[1:]]
    sizes = np.array(array.shape, ">u4").tobytes()
    values = array.astype(array.dtype.newbyteorder(">"))
    return bytes((0, 0, code, array.ndim)) + sizes + values.tobytes()


def write(kind, array, folder):
    """The array as a file or object of the given kind."""
    if kind == "array":
        return array
    path = folder / f"data.{kind}"
    if kind == "npy":
        np.save(path, array)
    elif kind == "npy.gz":
        np.save(folder / "plain.npy", array)
        path.write_bytes(gzip.compress((folder / "plain.npy").read_bytes()))
    elif kind in ("npz", "stored.npz"):
        (np.savez_compressed if kind == "npz" else np.savez)(path, data=array)
    elif kind == "idx":
        path.write_bytes(idx_bytes(array))
    elif kind == "idx.gz":
        path.write_bytes(gzip.compress(idx_bytes(array)))
    else:
        zarr = pytest.importorskip("zarr", reason="zarr is not installed")
        chunks = (10, *array.shape[1:])
        made = zarr.create_array(
            str(path), shape=array.shape, dtype=array.dtype, chunks=chunks,
            zarr_format=2 if "v2" in kind else 3,
        )  # fmt: skip
        made[:] = array
        if kind == "zarr object":
            return zarr.open_array(str(path), mode="r")
    return path


KINDS = ["array", "npy", "npy.gz", "npz", "stored.npz", "idx", "idx.gz"]
KINDS += ["zarr", "v2.zarr", "zarr object"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_the_same_patches(kind, digits, tmp_path):
    source = PatchSource(write(kind, digits, tmp_path), "nyx")
    expected = PatchSource(digits, "nyx")
    assert len(source) == 40
    assert source.n_samples == digits.size
    assert source.plane_shapes == [(12, 10)]
    patches = (s.sample(np.random.default_rng(3), 50, (5, 7)) for s in (source, expected))
    assert np.array_equal(*patches)
    assert np.array_equal(source.take([7, 3]), digits[[7, 3]])
    assert np.array_equal(np.stack(list(source.planes())), digits)


@pytest.mark.parametrize("kind", KINDS)
def test_manifest_names_what_was_read(kind, digits, tmp_path):
    data = write(kind, digits, tmp_path)
    (entry,) = PatchSource(data, "nyx").manifest()
    is_file = hasattr(data, "is_file") and data.is_file()
    content = data.read_bytes() if is_file else digits.tobytes()
    assert entry.sha256 == hashlib.sha256(content).hexdigest()
    assert (entry.shape, entry.dtype) == ((40, 12, 10), "|u1")


@pytest.mark.parametrize("dtype", ["i2", "i4", "f4", "f8"])
def test_idx_numbers_are_big_endian(dtype, tmp_path):
    values = np.arange(24).reshape(2, 3, 4).astype(dtype)
    source = PatchSource(write("idx", values, tmp_path), "nyx")
    assert np.array_equal(source.take([0, 1]), values)


@pytest.mark.parametrize("kind", ["npy", "stored.npz", "idx"])
def test_plain_files_are_mapped_and_not_read(kind, digits, tmp_path):
    (named,) = open_arrays(write(kind, digits, tmp_path))
    assert isinstance(named.array, np.memmap)


@pytest.mark.parametrize("kind", ["npz", "idx.gz", "npy.gz"])
def test_compressed_files_wait_until_they_are_touched(kind, digits, tmp_path):
    (named,) = open_arrays(write(kind, digits, tmp_path))
    assert isinstance(named.array, Lazy)
    assert "values" not in vars(named.array)
    assert named.array.shape == digits.shape
    assert np.array_equal(named.array[:], digits)


def test_fortran_order_members_are_read_right(tmp_path):
    values = np.asfortranarray(np.arange(24).reshape(4, 6))
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "f.npz", values)
        assert np.array_equal(PatchSource(tmp_path / "f.npz").take([0])[0], values)


class Watched:
    """A chunked array that counts what is read of it."""

    def __init__(self, values, chunks):
        self.values, self.chunks = values, chunks
        self.shape, self.dtype = values.shape, values.dtype
        self.largest, self.reads = 0, 0

    def __getitem__(self, key):
        part = self.values[key]
        self.largest = max(self.largest, part.size)
        self.reads += 1
        return part


def test_chunked_arrays_are_read_by_the_chunk(digits):
    watched = Watched(digits, (10, 12, 10))
    PatchSource(watched, "nyx").sample(np.random.default_rng(0), 200, (12, 10))
    assert watched.largest == 10 * 12 * 10
    assert watched.reads == 4
    PatchSource(watched, "nyx").manifest()


def test_large_planes_come_in_tiles():
    watched = Watched(np.arange(100 * 30).reshape(100, 30), (10, 10))
    source = PatchSource(watched)
    source.sample(np.random.default_rng(0), 20, (8, 8))
    assert watched.largest <= 20 * 20
    tiles = list(source.planes(max_side=16))
    assert sum(tile.size for tile in tiles) == 3000
    assert max(tile.size for tile in tiles) == 256
    tracks = list(PatchSource(np.arange(1000), "t", "track").planes(max_side=16))
    assert [t.shape for t in tracks] == [(1, 256)] * 3 + [(1, 232)]


@pytest.mark.parametrize(
    ("shape", "axes", "geometry", "n_planes", "plane"),
    [
        ((6, 8), "yx", "plane", 1, (6, 8)),
        ((5, 6, 8), "yx", "plane", 5, (6, 8)),
        ((6, 8, 3), "yxc", "plane", 3, (6, 8)),
        ((2, 6, 8, 3), "yxc", "plane", 6, (6, 8)),
        ((6, 8), "nyx", "plane", 1, (6, 8)),
        ((8, 6), "xy", "plane", 1, (6, 8)),
        ((50,), "t", "track", 1, (1, 50)),
        ((50, 3), "tc", "track", 3, (1, 50)),
        ((3, 50), "ct", "track", 3, (1, 50)),
    ],
)
def test_axes_say_what_a_plane_is(shape, axes, geometry, n_planes, plane):
    source = PatchSource(np.arange(np.prod(shape)).reshape(shape), axes, geometry)
    assert len(source) == n_planes
    assert source.plane_shapes == [plane]


def test_swapped_axes_are_turned():
    values = np.arange(48).reshape(8, 6)
    assert np.array_equal(PatchSource(values, "xy").take([0])[0], values.T)


def test_small_planes_are_continued_by_their_border():
    patch = PatchSource(np.array([[1, 2], [3, 4]])).sample(np.random.default_rng(0), 1, (3, 4))
    assert patch[0].tolist() == [[1, 2, 2, 2], [3, 4, 4, 4], [3, 4, 4, 4]]


def test_several_inputs_become_one_source(digits, tmp_path):
    source = PatchSource([digits, write("npy", digits[0], tmp_path)], "nyx")
    assert len(source) == 41
    assert [entry.name for entry in source.manifest()] == ["array-0", "data.npy"]


def test_joined_sources_keep_their_own_axes(digits):
    colours = np.arange(6 * 8 * 3).reshape(6, 8, 3)
    joined = PatchSource.join([PatchSource(digits, "nyx"), PatchSource(colours, "yxc")])
    assert len(joined) == 43
    assert np.array_equal(joined.take([41])[0], colours[..., 1])
    assert len(joined.manifest()) == 2
    with pytest.raises(ConfigError, match="joined"):
        PatchSource.join([joined, PatchSource(np.arange(9), "t", "track")])


@pytest.mark.parametrize(
    ("data", "axes", "geometry"),
    [
        (np.arange(4000).reshape(40, 10, 10), "nyx", "plane"),
        (np.arange(10000).reshape(100, 100), "yx", "plane"),
        (np.arange(5000), "t", "track"),
    ],
)
def test_split_shares_nothing_and_loses_nothing(data, axes, geometry):
    source = PatchSource(data, axes, geometry)
    first, second = source.split(0.1)
    kept, held = (np.concatenate([p.ravel() for p in s.planes()]) for s in (first, second))
    assert np.array_equal(np.sort(np.concatenate([kept, held])), np.arange(data.size))
    assert held.size == data.size // 10
    rng = np.random.default_rng(0)
    assert set(second.sample(rng, 50, (1, 5)).ravel()) <= set(held)
    assert set(first.sample(rng, 50, (1, 5)).ravel()) <= set(kept)


def test_same_seed_same_patches(digits):
    source = PatchSource(digits, "nyx")
    a, b, c = (source.sample(np.random.default_rng(s), 9, (4, 4)) for s in (1, 1, 2))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "starts with b''"),
        (b"hello world", "expected an array, a .npy"),
        (b"\x93NUMPY\x01\x00", "cannot read"),
        (b"\x1f\x8b\x08", "cannot read"),
        (b"\0\0\x08\x03\0\0", "ends within its header"),
        (b"\0\0\x07\x03\0\0\0\0", "starts with"),
        (idx_bytes(np.zeros((9, 9), np.uint8))[:-1], "cannot read"),
        (b"PK\x05\x06" + bytes(18), "holds no arrays"),
    ],
)
def test_unreadable_files_are_named(content, complaint, tmp_path):
    path = tmp_path / "broken.bin"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=complaint):
        PatchSource(path)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ("missing.npy", "no training data at 'missing.npy'"),
        ([], "holds no arrays"),
        ({"a": 1}, "training data is dict"),
        (np.zeros(3, "datetime64[s]"), "expected integers or floats"),
        (np.zeros((0, 4, 4)), "holds no samples"),
        (np.zeros(7), "expected axes y and x"),
    ],
)
def test_data_that_cannot_be_used_is_refused(data, complaint):
    with pytest.raises(ConfigError, match=complaint):
        PatchSource(data, "yx")


def test_folder_that_is_no_store_is_refused(tmp_path):
    pytest.importorskip("zarr", reason="zarr is not installed")
    with pytest.raises(ConfigError, match="Zarr store"):
        PatchSource(tmp_path)


def test_groups_give_all_their_arrays(digits, tmp_path):
    zarr = pytest.importorskip("zarr", reason="zarr is not installed")
    group = zarr.create_group(str(tmp_path / "g.zarr"))
    group.create_array("a", shape=digits.shape, dtype=digits.dtype)[:] = digits
    group.create_group("deep").create_array("b", shape=(4, 4), dtype="i4")
    names = [entry.name for entry in PatchSource(tmp_path / "g.zarr", "nyx").manifest()]
    assert names == ["g.zarr/a", "g.zarr/deep/b"]
