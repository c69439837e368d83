"""Arrow Flight with encoded columns: for links that are slower than a codec, such as sensors'.

A sender encodes its batches while earlier ones are on the way; the receiver decodes them as they
arrive.  All queues are bounded: a receiver that falls behind slows the sender down.  The other
columns, and what frames have in common, are compressed with zstd.

>>> import numpy as np, pyarrow as pa
>>> from latrans.arrow import flight
>>> signal = pa.FixedShapeTensorArray.from_numpy_ndarray(np.zeros((4, 500), np.int16))
>>> table = pa.table({"signal": signal})
>>> with flight.Server(tables={"ecg": table}, codecs={"signal": "series-1"}) as server:
...     flight.Client(server.location).fetch("ecg").read_all() == table
True
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import pyarrow as pa
import pyarrow.flight as fl

from ..errors import CodecError, ConfigError
from . import models
from .channel import Channel, ChannelClosed, ChannelReader, ahead
from .lost import Watch
from .sources import as_reader, nbytes_of
from .tables import TableDecoder, TableEncoder

QUEUE = 4  # batches that may wait between two threads
BATCH_ROWS = 1024  # of larger batches, that are sent together
BATCH_NBYTES = 8 << 20  # likewise, before they are encoded
ANYWHERE = "grpc://127.0.0.1:0"  # of this machine, a free port


@dataclass(frozen=True)
class Arrival:
    """A stream that a client sends.

    Attributes
    ----------
    name : str
    reader : pyarrow.RecordBatchReader
        Its batches, decoded.
    """

    name: str
    reader: pa.RecordBatchReader


class Server(fl.FlightServerBase):  # type: ignore[misc]
    """Hands tables out and takes streams in.

    Parameters
    ----------
    location : str
        Where to listen; a free port of this machine by default.
    tables : mapping from name to table, optional
        What clients may fetch: anything that `write_parquet` takes, or a function without
        arguments that makes such a thing anew for each of them.
    codecs : mapping from column to codec, optional
        As in `encode_table`, of the columns that a table has.
    queue : int
        How many batches, and how many streams, may wait.
    models : bool
        Send models along, to clients that do not have them.
    threads : int, optional
        Of the codec, for each batch; one by default.
    **options
        Of `pyarrow.flight.FlightServerBase`: certificates, authentication and so on.
    """

    def __init__(
        self,
        location: str = ANYWHERE,
        tables: Mapping[str, Any] | None = None,
        codecs: Mapping[str, Any] | None = None,
        queue: int = QUEUE,
        models: bool = False,
        threads: int = 1,
        **options: Any,
    ) -> None:
        super().__init__(location, **options)
        # A socket of the file system has no port.
        self.location = f"{location.rpartition(':')[0]}:{self.port}" if self.port else location
        self._tables, self._codecs = dict(tables or {}), dict(codecs or {})
        self._size, self._models, self._threads = queue, models, threads
        self._arrivals: Channel[Arrival] = Channel(queue)
        self._accepting = self._arrivals.reader()
        self._lock = threading.Lock()

    def accept(self) -> Arrival | None:
        """The next stream that a client sends, once one does; None where the server ends.

        Its batches wait, and the client with them, until they are read.
        """
        with self._lock:
            return next(self._accepting, None)

    def do_get(self, context: Any, ticket: fl.Ticket) -> fl.RecordBatchStream:
        """Send a table; called by Flight."""
        name = ticket.ticket.decode("utf-8", "replace")
        if name not in self._tables:
            raise ConfigError(f"there is no table {name!r}; there are {', '.join(self._tables)}")
        table = self._tables[name]
        reader = as_reader(table() if callable(table) else table)
        codecs = {k: codec for k, codec in self._codecs.items() if k in reader.schema.names}
        schema, batches = _encoded(reader, codecs, self._models, self._threads)
        waiting = pa.RecordBatchReader.from_batches(schema, ahead(batches, self._size))
        # Flight's stream of a generator knows no dictionaries, that of a reader does.
        return fl.RecordBatchStream(waiting, options=_packed())

    def do_put(
        self, context: Any, descriptor: fl.FlightDescriptor, reader: Any, writer: Any
    ) -> None:
        """Take a stream; called by Flight."""
        name = b"/".join(descriptor.path or []).decode("utf-8", "replace")
        schema, batches = _decoded(reader, self._threads)
        channel: Channel[pa.RecordBatch] = Channel(self._size)
        stream = pa.RecordBatchReader.from_batches(schema, channel.reader())
        self._arrivals.put(Arrival(name, stream))
        try:
            for batch in batches:
                channel.put(batch)
        except ChannelClosed:
            raise ConfigError(f"nobody reads the stream {name!r} any more") from None
        except BaseException as error:
            channel.end(error)
            raise
        channel.end()

    def __exit__(self, *_: object) -> None:
        self._accepting.close()
        self.shutdown()


class Client:
    """Fetches tables from a `Server` and sends streams to it.

    Parameters
    ----------
    location : str
        Such as "grpc://host:8815" or "grpc+tls://host:8815".
    queue : int
        How many batches may wait.
    threads : int, optional
        Of the codec, for each batch; one by default.
    **options
        Of `pyarrow.flight.FlightClient`.
    """

    def __init__(self, location: str, queue: int = QUEUE, threads: int = 1, **options: Any) -> None:
        self._flight = fl.FlightClient(location, **options)
        self._size, self._threads = queue, threads

    def fetch(self, name: str) -> pa.RecordBatchReader:
        """A table of the server, decoded as it arrives.

        Raises
        ------
        CodecError
            From the reader, if a batch is damaged.
        ModelNotFoundError
            From the reader, if a model is neither found nor was sent along.
        """
        arriving = self._flight.do_get(fl.Ticket(name.encode()))
        schema, batches = _decoded(arriving, self._threads)
        return pa.RecordBatchReader.from_batches(schema, ahead(batches, self._size))

    def send(self, name: str, data: Any, codecs: Mapping[str, Any], models: bool = False) -> None:
        """Send a stream under a name; returns when the server has taken all of it.

        Parameters
        ----------
        name : str
        data : anything that `write_parquet` takes
        codecs : mapping from column to codec
            As in `encode_table`.
        models : bool
            Send the models along.
        """
        schema, batches = _encoded(data, codecs, models, self._threads)
        options = fl.FlightCallOptions(write_options=_packed())
        descriptor = fl.FlightDescriptor.for_path(name)
        writer, _ = self._flight.do_put(descriptor, schema, options)
        waiting: ChannelReader[pa.RecordBatch] = ahead(batches, self._size)
        try:
            with writer:
                for batch in waiting:
                    writer.write_batch(batch)
        finally:
            waiting.close()

    def close(self) -> None:
        """End the connection."""
        self._flight.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _encoded(
    data: Any, codecs: Mapping[str, Any], with_models: bool, threads: int
) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """Schema and batches of a stream, its columns encoded."""
    reader = as_reader(data)
    encoder = TableEncoder(reader.schema, codecs, threads=threads)
    digests = models.digests_of(encoder.all_types.values())
    notes = {**models.note(digests), **(models.inside(digests) if with_models else {})}
    schema = encoder.schema.with_metadata({**(encoder.schema.metadata or {}), **notes})

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in reader:
            fitting = BATCH_NBYTES * len(batch) // max(1, nbytes_of(batch))
            n_rows = max(1, min(BATCH_ROWS, fitting))
            for start in range(0, len(batch), n_rows):
                encoded = encoder.encode(batch.slice(start, n_rows))
                yield encoded.replace_schema_metadata(schema.metadata)

    return schema, batches()


def _decoded(arriving: Any, threads: int) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """Schema and batches of an encoded stream as Flight reads it, decoded."""
    models.take_in(arriving.schema.metadata)
    decoder = TableDecoder(arriving.schema, threads=threads)
    schema = models.without(decoder.schema)
    watch = Watch(schema, "the stream")

    def batches() -> Iterator[pa.RecordBatch]:
        for chunk in arriving:
            try:
                chunk.data.validate(full=True)
            except pa.ArrowInvalid as error:
                raise CodecError(f"a batch that arrived is damaged: {error}") from error
            for batch in decoder.batches(chunk.data):
                watch.look(batch)
                yield batch.replace_schema_metadata(schema.metadata)

    return schema, batches()


def _packed() -> pa.ipc.IpcWriteOptions:
    return pa.ipc.IpcWriteOptions(compression="zstd")
