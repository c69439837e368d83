"""Model files, integer programs and the entropy decoder, written from FORMAT.md 7, 9 and 10 alone.

Plain and slow on purpose, and nothing of the package is imported: where this and the package agree,
the document said enough.
"""

import hashlib
import json
import struct

import numpy as np
import safetensors.numpy


class Model:
    """One model file: its settings, its tensors and its identity."""

    def __init__(self, data):
        (size,) = struct.unpack_from("<Q", data)
        header = json.loads(data[8 : 8 + size])
        self.settings = json.loads(header["__metadata__"]["latrans"])
        if self.settings["format"] != 1:
            raise ValueError("a model file of another format")
        tensors = safetensors.numpy.load(data)
        self.tensors = {name: tensor.astype(np.int64) for name, tensor in tensors.items()}
        self.digest = hashlib.sha256(data).digest()
        self.axes = self.settings["axes"]
        self.version = self.settings["version"]
        self.residual = self.settings.get("residual")
        self.autoencoder = self.settings.get("autoencoder")
        self.transform = self.settings.get("transform")
        self.is_track = self.transform is None and self.residual["geometry"] == "track"

    def run(self, prefix, spec, x):
        """Run the program whose tensors start with `prefix` on one input of integers."""
        x = np.asarray(x, np.int64)
        assert spec["input"][0] <= x.min()
        assert x.max() <= spec["input"][1]
        assert len(x) == spec["input_shape"][0]
        for index, layer in enumerate(spec["layers"]):
            if layer["op"] == "shuffle":
                x = shuffle(x, *layer["factor"])
                continue
            weight, bias, shift = (
                self.tensors[f"{prefix}.{index}.{part}"] for part in ("weight", "bias", "shift")
            )
            total = weight @ x if layer["op"] == "dense" else correlate(weight, x, *layer["stride"])
            each = (-1,) + (1,) * (total.ndim - 1)  # channel
            total += bias.reshape(each)
            shift = shift.reshape(each)
            x = np.clip((total + (1 << (shift - 1))) >> shift, layer["lo"], layer["hi"])
        return x


def correlate(weight, x, row_stride, column_stride):
    """Cross-correlate (out, in, kh, kw) with (in, h, w), zeros of half the kernel around."""
    _, _, kh, kw = weight.shape
    _, height, width = x.shape
    padded = np.pad(x, ((0, 0), (kh // 2, kh // 2), (kw // 2, kw // 2)))
    rows = range(0, height, row_stride)
    columns = range(0, width, column_stride)
    out = np.empty((len(weight), len(rows), len(columns)), np.int64)
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            window = padded[:, row : row + kh, column : column + kw]
            out[:, i, j] = (weight * window).sum(axis=(1, 2, 3))
    return out


def shuffle(x, fh, fw):
    """Move channel (c fh + i) fw + j to position (i, j) of each cell of channel c."""
    channels, height, width = x.shape
    out = np.empty((channels // (fh * fw), height * fh, width * fw), np.int64)
    for c in range(len(out)):
        for i in range(fh):
            for j in range(fw):
                out[c, i::fh, j::fw] = x[(c * fh + i) * fw + j]
    return out


class Rans:
    """The decoder of FORMAT.md 7.2 over `data`, for a section of `n` samples."""

    def __init__(self, data, n):
        self.n_states = 1 if n < 4096 else 4 if n < 32768 else 16
        self.states = list(struct.unpack_from(f"<{self.n_states}I", data))
        self.words = iter(np.frombuffer(data, "<u2", offset=4 * self.n_states).tolist())

    def _advance(self, lane, state):
        if state < 1 << 16:
            state = (state << 16) + next(self.words)
        self.states[lane % self.n_states] = state

    def symbol(self, lane, table):
        """Take one symbol of a table of 12-bit frequencies."""
        state = self.states[lane % self.n_states]
        slot = state & 4095
        start = symbol = 0
        while slot >= start + table[symbol]:
            start += table[symbol]
            symbol += 1
        self._advance(lane, table[symbol] * (state >> 12) + slot - start)
        return symbol

    def raw(self, lane, count):
        """Take `count` raw bits, at most 16."""
        if count == 0:
            return 0
        state = self.states[lane % self.n_states]
        self._advance(lane, state >> count)
        return state & ((1 << count) - 1)

    def finish(self):
        """Check that everything was used."""
        if any(state != 1 << 16 for state in self.states) or next(self.words, None) is not None:
            raise ValueError("the entropy-coded section does not end where it should")


def token_bits(token):
    """Count the raw bits that go with `token`."""
    return 0 if token < 32 else (token - 32) // 4 + 5 - 2


def token_value(token, bits):
    """Undo tokens and zigzag: the signed value of a token and its raw bits."""
    z = token
    if token >= 32:
        e = (token - 32) // 4 + 5
        z = (1 << e) | ((token >> 1 & 1) << (e - 1)) | (bits << 1) | (token & 1)
    return z >> 1 if z % 2 == 0 else -(z >> 1) - 1


class Bytes:
    """A reading position in bytes."""

    def __init__(self, data):
        self.data = bytes(data)
        self.at = 0

    def take(self, count=None):
        """Return the next `count` bytes, or all that are left."""
        end = len(self.data) if count is None else self.at + count
        if end > len(self.data):
            raise ValueError("the data end early")
        part, self.at = self.data[self.at : end], end
        return part

    def unpack(self, form):
        """Return one little-endian value of a struct form."""
        (value,) = struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))
        return value

    def varint(self):
        """Return an unsigned LEB128 integer."""
        value = shift = 0
        while True:
            byte = self.unpack("B")
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def zigzag(self):
        """Return a signed integer."""
        value = self.varint()
        return value >> 1 if value % 2 == 0 else -(value >> 1) - 1

    def sized(self):
        """Return bytes that follow their length."""
        return self.take(self.varint())
