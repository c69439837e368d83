"""Latents section: the integers between the two networks (FORMAT.md section 8).

Each latent channel has a static token table of its own; the tokens are those of the residual.
A plane's centre and scale, where the networks work on scaled data, stand in front.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import CodecError
from ..format.varint import Reader, pack_varint
from .rans.select import on
from .rans.tables import normalise, starts
from .schedule import n_states
from .tokens import ESCAPE, N_SYMBOLS, N_TOKENS, raw_length, tokenise, untokenise

Array = npt.NDArray[Any]

# Of 16-bit latents; their tokens have at most 15 raw bits.
_LAST_TOKEN = 32 + 4 * 12


class LatentCoder:
    """Codes latents with one table per channel.

    Parameters
    ----------
    tables : (channels, N_SYMBOLS) uint16
    engine : name of the engine that the entropy coder runs on
    """

    def __init__(self, tables: npt.NDArray[np.uint16], engine: str) -> None:
        self.tables = tables
        self.starts = starts(tables)
        self._rans = on(engine)
        self._laid_out = self._rans.Tables(tables)

    def encode(self, latents: Array, statistics: Array) -> bytes:
        """Section of latents (items, channels, ...) and their (items, 2 or 0) statistics."""
        channel, values = _by_channel(latents)
        token, n_raw, raw = tokenise(values, np.zeros_like(values))
        symbol = np.where(self.tables[channel, token] == 0, ESCAPE, token)
        states = n_states(values.size)
        lane = np.arange(values.size) % states
        escaped = symbol == ESCAPE
        twelve, one = np.full_like(token, 12), np.ones_like(token)
        groups = (
            (self.starts[channel, symbol], self.tables[channel, symbol], twelve, one > 0),
            (token, one, np.full_like(token, 8), escaped),
            (raw & 0xFFFF, one, n_raw, n_raw > 0),
        )
        index = np.concatenate([np.flatnonzero(g[3]) * 3 + i for i, g in enumerate(groups)])
        order = np.argsort(index, kind="stable")
        start, frequency, bits = (
            np.concatenate([g[k][g[3]].astype(np.int64) for g in groups])[order] for k in range(3)
        )
        body: bytes = self._rans.encode(lane[index[order] // 3], start, frequency, bits, states)
        if not statistics.size:
            return body
        front = zlib.compress(np.asarray(statistics, "<i4").T.tobytes(), 9)
        return pack_varint(len(front)) + front + body

    def decode(
        self, section: bytes, shape: tuple[int, ...], has_statistics: bool, limit: int
    ) -> tuple[Array, Array]:
        """Inverse of `encode` for latents of `shape`, none of them beyond +-`limit`."""
        reader = Reader(section)
        statistics = np.zeros((shape[0], 0), np.int64)
        if has_statistics:
            inflater = zlib.decompressobj()
            try:
                front = inflater.decompress(bytes(reader.take(reader.varint())), 8 * shape[0])
            except zlib.error as error:
                raise CodecError(f"frame is damaged: latents do not inflate ({error})") from error
            if len(front) != 8 * shape[0] or not inflater.eof:
                raise CodecError("frame is damaged: statistics of its planes are incomplete")
            statistics = np.frombuffer(front, "<i4").reshape(2, shape[0]).T.astype(np.int64)
            if statistics.size and not 0 <= statistics[:, 1].min() <= statistics[:, 1].max() < 40:
                raise CodecError("frame is damaged: a plane's scale is out of range")
        channel, values = _by_channel(np.zeros(shape, np.int64))
        body = bytes(reader.rest())
        if values.size > (len(body) + 64) * 8 * 4096:
            raise CodecError("frame is damaged: more latents than its bytes can hold")
        states = n_states(values.size)
        decoder = self._rans.Decoder(body, states)
        lane = np.arange(values.size) % states
        n_raw = raw_length(np.arange(N_SYMBOLS), np.zeros(N_SYMBOLS, np.int64))
        token, raw = decoder.pop(
            self._laid_out, lane, channel, ESCAPE, _LAST_TOKEN, np.minimum(n_raw, 16)
        )
        values = untokenise(token, np.zeros_like(token), raw)
        decoder.finish()
        if values.size and int(np.abs(values).max()) > limit:
            raise CodecError(f"frame is damaged: a latent lies beyond {limit}")
        return values.reshape(shape), statistics


def _by_channel(latents: Array) -> tuple[Array, Array]:
    """(channel, value) of every latent, item by item, channel by channel."""
    channels = np.broadcast_to(
        np.arange(latents.shape[1]).reshape(1, -1, *(1,) * (latents.ndim - 2)), latents.shape
    )
    return channels.reshape(-1), latents.reshape(-1).astype(np.int64)


def fit_tables(latents: Array) -> npt.NDArray[np.uint16]:
    """Tables (channels, N_SYMBOLS) for latents (items, channels, ...) like these."""
    must_have = np.zeros(N_SYMBOLS, bool)
    must_have[ESCAPE] = True
    tables = []
    for values in np.moveaxis(latents, 1, 0):
        flat = values.reshape(-1).astype(np.int64)
        token, _, _ = tokenise(flat, np.zeros_like(flat))
        counts = np.bincount(token, minlength=N_SYMBOLS).astype(np.float64)
        # Neighbouring values are likely too, even where training never met them.
        blurred = counts.copy()
        blurred[: N_TOKENS - 2] += 0.02 * counts[2:N_TOKENS]
        blurred[2:N_TOKENS] += 0.02 * counts[: N_TOKENS - 2]
        blurred[blurred * 65536 < blurred.sum()] = 0
        tables.append(normalise(blurred, must_have))
    return np.stack(tables)
