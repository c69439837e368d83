"""Arrow Flight: what arrives is what was sent, by fewer bytes, with bounded queues."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import latrans
from places import ROOT

pa = pytest.importorskip("pyarrow")
pytest.importorskip("pyarrow.flight")

from adapter_samples import run_python
from arrow_samples import frames_of, table, tensors
from latrans.arrow import encode_table, flight
from latrans.arrow.channel import Channel, ChannelClosed, ahead
from latrans.errors import CodecError
from synthetic_models import make_model

BENCHMARKS = ROOT / "benchmarks"
IMAGE = {"image": "digits-1"}


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Any:
    pytest.importorskip("imagecodecs")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import columns

    return columns.counted


def waves(n_rows: int = 60, n: int = 2048) -> Any:
    """Windows of a noisy wave, as a table."""
    t = np.arange(n_rows * n)
    noise = np.random.default_rng(0).normal(0, 6, t.size)
    signal = 900 * np.sin(t / 40) * np.sin(t / 900) + noise
    windows = tensors(signal.astype(np.int16).reshape(n_rows, n))
    return pa.table({"n": range(n_rows), "signal": windows})


@pytest.mark.parametrize("nulls", [False, True])
def test_a_table_is_fetched(nulls: bool) -> None:
    whole = table(30, nulls)
    with (
        flight.Server(tables={"t": whole}, codecs=IMAGE) as server,
        flight.Client(server.location) as client,
    ):
        found = client.fetch("t").read_all()
    assert found.combine_chunks() == whole.combine_chunks()
    assert found.schema == whole.schema


def dictionaries() -> list[Any]:
    """Tables with dictionaries: plain, nested, of numbers, and others in each batch."""
    word = pa.dictionary(pa.int8(), pa.string())
    nested = pa.list_(pa.struct([("k", word), ("v", pa.int64())]))
    rows = [[{"k": "u", "v": 1}], None, [{"k": "w", "v": 2}, {"k": None, "v": 3}]]
    numbers = pa.DictionaryArray.from_arrays(pa.array([0, 1, 0], pa.uint8()), pa.array([1.5, 2.5]))
    lists = pa.DictionaryArray.from_arrays(pa.array([0, 1, 0]), pa.array([["a"], ["b", "c"]]))
    changing = [["a", "b"], ["c", "d", "c"], [], ["z", None], ["a", "b", "n"]]
    parts = [pa.table({"s": pa.array(v, pa.string()).dictionary_encode()}) for v in changing]
    image = {"s": parts[0]["s"].take([0, 1] * 6), "image": table(12)["image"]}
    return [
        pa.table({"n": pa.array(rows, nested), "s": pa.array(["q", "r", "q"]).dictionary_encode()}),
        pa.table({"n": numbers, "l": lists}),
        pa.concat_tables(parts),
        pa.table(image),
        pa.table(image).slice(0, 0),
        pa.table(image).slice(5, 3),
    ]


@pytest.mark.parametrize("n", range(6))
def test_columns_of_dictionaries_travel_both_ways(n: int) -> None:
    whole = dictionaries()[n]
    codecs = IMAGE if "image" in whole.column_names else {}
    with (
        flight.Server(tables={"t": whole}, codecs=IMAGE) as server,
        flight.Client(server.location) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        fetched = client.fetch("t").read_all()
        sending = pool.submit(client.send, "t", whole, codecs)
        sent = server.accept().reader.read_all()
        sending.result(timeout=60)
    for found in (fetched, sent):
        found.validate(full=True)
        assert found.schema == whole.schema
        assert found.to_pylist() == whole.to_pylist()


def test_streams_arrive_while_they_are_made() -> None:
    made: list[int] = []

    def batches() -> Iterator[Any]:
        for i in range(200):
            made.append(i)
            yield table(4).to_batches()[0]

    source = pa.RecordBatchReader.from_batches(table(4).schema, batches())
    with (
        flight.Server(queue=2) as server,
        flight.Client(server.location, queue=2) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        sending = pool.submit(client.send, "digits", source, IMAGE)
        arrival = server.accept()
        assert arrival.name == "digits"
        first = arrival.reader.read_next_batch()
        assert first == table(4).to_batches()[0]
        rest = arrival.reader.read_all()
        sending.result(timeout=60)
    assert len(rest) == 4 * 199
    assert rest["image"].chunk(7) == table(4)["image"].chunk(0)


def test_a_server_that_ends_accepts_nothing_more() -> None:
    with flight.Server() as server, ThreadPoolExecutor(1) as pool:
        accepting = pool.submit(server.accept)
        time.sleep(0.2)
        server.__exit__()
        assert accepting.result(timeout=30) is None


def test_a_slow_reader_slows_the_sender_down() -> None:
    made: list[int] = []
    rows = np.random.default_rng(0).integers(0, 256, (1, 1 << 20), np.uint8)
    batch = pa.table({"noise": tensors(rows)}).to_batches()[0]

    def batches() -> Iterator[Any]:
        for i in range(60):
            made.append(i)
            yield batch

    source = pa.RecordBatchReader.from_batches(batch.schema, batches())
    with (
        flight.Server(queue=1) as server,
        flight.Client(server.location, queue=1) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        sending = pool.submit(client.send, "noise", source, {})
        arrival = server.accept()
        before = -1
        while len(made) != before:
            before = len(made)
            time.sleep(0.5)
        assert before < 40  # what the connection itself holds is some megabytes
        assert arrival.reader.read_all().num_rows == 60
        sending.result(timeout=60)


def test_fewer_bytes_on_the_wire_than_with_zstd(counted: Any) -> None:
    found = {}
    for label, codecs in (("zstd", {}), ("latrans", {"signal": "series-1"})):
        with flight.Server(tables={"ecg": waves()}, codecs=codecs) as server:
            with counted(server.location) as (location, count), flight.Client(location) as client:
                assert client.fetch("ecg").read_all() == waves()
            found[label] = count()
    assert found["zstd"] > 100_000  # the counter sees the data
    assert found["zstd"] > 1.3 * found["latrans"]


def test_models_are_sent_along_where_asked_for() -> None:
    model = make_model("plane", seed=91, name="afar")
    rows = np.add.outer(np.arange(3), np.add.outer(np.arange(40), np.arange(30))).astype(np.uint8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("latrans.codec.smaller_of", lambda packed, *_: packed)
        encoded = encode_table(pa.table({"image": tensors(rows)}), {"image": latrans.Codec(model)})
    for models, outcome in ((True, "assert found.tolist() == rows"), (False, "assert False")):
        with flight.Server(tables={"t": encoded}, models=models) as server:
            run_python(f"""
                from latrans.arrow import flight
                from latrans.errors import ModelNotFoundError
                rows = {rows.tolist()}
                try:
                    table = flight.Client({server.location!r}).fetch("t").read_all()
                    found = table["image"].combine_chunks().to_numpy_ndarray()
                    {outcome}
                except ModelNotFoundError as error:
                    assert not {models} and {model.digest[:16]!r} in str(error)
            """)


def test_large_batches_are_sent_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flight, "BATCH_NBYTES", 5000)
    with flight.Server(tables={"t": table(30)}, codecs=IMAGE) as server:
        found = flight.Client(server.location).fetch("t").read_all()
    assert found["image"].num_chunks >= 5
    assert found.combine_chunks() == table(30).combine_chunks()


def test_functions_make_a_stream_for_each_client() -> None:
    def latest() -> Any:
        return table(4).to_reader()

    with flight.Server(tables={"t": latest}, codecs=IMAGE) as server:
        for _ in range(2):
            assert flight.Client(server.location).fetch("t").read_all() == table(4)


def test_damaged_batches_are_codec_errors() -> None:
    encoded = encode_table(table(4), IMAGE)
    damaged = [frame[:-1] for frame in frames_of(encoded["image"])]
    column = pa.ExtensionArray.from_storage(
        encoded.schema.field("image").type, pa.array(damaged, pa.large_binary())
    )
    with flight.Server(tables={"t": encoded.set_column(1, "image", column)}) as server:
        reader = flight.Client(server.location).fetch("t")
        with pytest.raises(CodecError, match="damaged"):
            reader.read_all()


def test_unknown_tables_are_named() -> None:
    with flight.Server(tables={"t": table(4)}) as server:
        client = flight.Client(server.location)
        with pytest.raises(pa.ArrowException, match="no table 'other'; there are t"):
            client.fetch("other").read_all()


def test_errors_of_the_source_come_out_at_the_sender() -> None:
    def batches() -> Iterator[Any]:
        yield table(4).to_batches()[0]
        raise RuntimeError("the sensor broke off")

    source = pa.RecordBatchReader.from_batches(table(4).schema, batches())
    with flight.Server() as server, ThreadPoolExecutor(1) as pool:
        sending = pool.submit(flight.Client(server.location).send, "t", source, IMAGE)
        arrival = server.accept()
        assert len(arrival.reader.read_next_batch()) == 4
        with pytest.raises(RuntimeError, match="broke off"):
            sending.result(timeout=60)


def test_a_channel_hands_over_in_order_and_ends() -> None:
    assert list(ahead(range(100), 2)) == list(range(100))


def test_a_channel_holds_no_more_than_its_size() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for i in range(100):
            made.append(i)
            yield i

    reader = ahead(items(), 3)
    time.sleep(0.3)
    assert len(made) == 4  # three wait, one has no room
    assert next(reader) == 0
    reader.close()


def test_whoever_puts_learns_that_nobody_reads() -> None:
    channel: Channel[int] = Channel(1)
    reader = channel.reader()
    channel.put(1)
    threading.Timer(0.1, reader.close).start()
    with pytest.raises(ChannelClosed):
        channel.put(2)
    assert list(reader) == []


def test_errors_cross_a_channel() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("half-way")

    reader = ahead(items(), 2)
    assert next(reader) == 1
    with pytest.raises(ValueError, match="half-way"):
        next(reader)
