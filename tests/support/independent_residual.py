"""The residual section: FORMAT.md 6 as plain Python, a sample at a time.

Part of the independent reader, see independent_reader.py.
"""

import zlib

import numpy as np

from independent_geometry import (
    SIGMA,
    SURROUND,
    Filter,
    Piece,
    Plane,
    Track,
    clamp,
    log,
    ratio,
    sat,
)
from independent_network import Bytes, Rans, token_bits, token_value


def predict(base, differences, weights, shift):
    """Return the prediction of 6.3, with 8 fraction bits."""
    total = sum(w * d for w, d in zip(weights, differences, strict=False))
    total = total >> (shift - 8) if shift > 8 else total << (8 - shift)
    return 256 * base + clamp(total, -(1 << 45), 1 << 45)


def read_header(reader, pieces, linear):
    """Read the header of 6.6 into the pieces; returns (lo, hi, step, table of every class)."""
    size = reader.varint()
    content = reader.take(size >> 1)
    header = Bytes(zlib.decompress(content) if size & 1 else content)
    lo, hi = 0, 255
    form = header.unpack("B")
    assert form < 8
    if form & 1:
        lo = header.zigzag()
        hi = lo + header.varint()
    step = header.unpack("B") if form & 2 else 1
    tables = list(range(217))
    for _ in range(header.unpack("B") if form & 4 else 0):
        index = header.unpack("B")
        tables[index] = header.unpack("B")

    def sigma():
        byte = header.unpack("B")
        return max(1, (SIGMA[byte & 7] << (byte >> 3)) >> 4)

    previous = None
    for index, piece in enumerate(pieces):
        kind = header.unpack("B")
        piece.expert = kind >> 5
        if kind & 16:
            distances, piece.own, piece.rows_per_set, piece.sets = previous
        else:
            distances = [header.varint() for _ in range(kind & 7)]
            piece.own = bool(kind & 8)
            if not piece.own:
                piece.sets = [(12, sigma(), linear)]
            else:
                piece.rows_per_set = header.varint()
                n_weights = len(piece.geometry.taps) + 9 * (piece.reconstruction is not None)
                n_weights += len(piece.geometry.reference_taps) * len(distances)
                for _ in range(-(-len(piece.lengths) // piece.rows_per_set)):
                    shift = header.unpack("B")
                    spread = sigma()
                    weights = [header.zigzag() for _ in range(n_weights)]
                    piece.sets.append((shift, spread, weights))
        previous = (distances, piece.own, piece.rows_per_set, piece.sets)
        piece.references = [pieces[index - distance] for distance in distances]
        if piece.geometry is Track:
            value = 0
            for row, lane in enumerate(piece.samples):
                value += header.zigzag()
                lane[0] = value
                sigma_here = piece.set_of(row)[1]
                piece.errors[row][0] = piece.energies[row][0] = sigma_here
                piece.filters[row] = Filter(sigma_here)
    assert header.take() == b""
    return lo, hi, step, tables


class Decoder:
    """Decodes the samples of all pieces of a section."""

    def __init__(self, model, pieces, data):
        self.model = model
        self.linear = model.tensors["residual.linear"].tolist()
        reader = Bytes(data)
        self.lo, self.hi, self.step, chosen = read_header(reader, pieces, self.linear)
        self.tables = model.tensors["residual.tables"][chosen].tolist()
        rans = Rans(reader.take(), sum(sum(piece.lengths) for piece in pieces))
        for piece in pieces:
            self.decode_piece(piece, rans)
        rans.finish()

    def decode_piece(self, piece, rans):
        skew = piece.geometry.skew
        for top in range(0, len(piece.lengths), 16):
            lanes = piece.lengths[top : top + 16]
            for t in range(piece.geometry is Track, max(lanes) + skew * (len(lanes) - 1)):
                active = [j for j in range(len(lanes)) if 0 <= t - skew * j < lanes[j]]
                spots = [self.look(piece, top + j, t - skew * j) for j in active]
                tokens = [
                    rans.symbol(j, self.tables[spot["table"]])
                    for j, spot in zip(active, spots, strict=True)
                ]
                tokens = [
                    rans.raw(j, 8) if token == 140 else token
                    for j, token in zip(active, tokens, strict=True)
                ]
                counts = [
                    spot["low"] + token_bits(token)
                    for spot, token in zip(spots, tokens, strict=True)
                ]
                bits = [rans.raw(j, min(n, 16)) for j, n in zip(active, counts, strict=True)]
                upper = [rans.raw(j, max(n - 16, 0)) for j, n in zip(active, counts, strict=True)]
                for i, j in enumerate(active):
                    self.store(
                        piece, top + j, t - skew * j, spots[i], tokens[i], bits[i] | upper[i] << 16
                    )

    def store(self, piece, row, column, spot, token, bits):
        low = spot["low"]
        offset = (token_value(token, bits >> low) << low) | (bits & ((1 << low) - 1))
        if spot["flip"]:
            offset = -offset
        value = spot["centre"] + offset
        sample = (spot["anchor"] + self.step * value + (1 << 31)) % (1 << 32) - (1 << 31)
        if not self.lo <= sample <= self.hi:
            raise ValueError("a sample is out of range")
        error = 256 * sample - spot["prediction"]
        if piece.geometry is Plane and row == column == 0:
            error = piece.set_of(0)[1]
        piece.samples[row][column] = sample
        piece.errors[row][column] = error
        piece.energies[row][column] = spot["energy"]

    def look(self, piece, row, column):
        """Work out 6.3 to 6.5 for a sample: everything but what the coder holds."""
        geometry, settings = piece.geometry, self.model.residual
        shift, sigma, weights = piece.set_of(row)
        at = piece.seen(piece.samples, row, column, clamp(0, self.lo, self.hi))
        error_at = piece.seen(piece.errors, row, column, piece.sets[0][1])
        level = at(0, -1)
        a, b = (at(*offset) for offset in geometry.base)
        base = (a + b + 1) >> 1
        taps = [at(*offset) for offset in geometry.taps]
        differences = [tap - base for tap in taps]
        if piece.reconstruction is not None:
            around = piece.nearest(piece.reconstruction, row, column)
            nine = [around(*offset) for offset in SURROUND]
            differences += [value - base for value in nine]
        trained = prediction = predict(base, differences, self.linear, 12)
        beside = []
        for reference in piece.references:
            there = reference.nearest(reference.samples, row, column)
            a, b = (there(*offset) for offset in geometry.base)
            own_base = (a + b + 1) >> 1
            beside.append([there(*offset) - own_base for offset in geometry.reference_taps])
            differences += beside[-1]
        if piece.own:
            prediction = predict(base, differences, weights, shift)

        errors = [error_at(*offset) for offset in geometry.errors]
        m = sum(w * abs(e) for w, e in zip(geometry.error_weights, errors, strict=True)) >> 3
        energy = ((230 * m + 26 * min(sigma, 3 * m + 77)) >> 8) + 5

        def total_of(first, last):
            return sum(abs(d) for d in differences[first - 1 : last])

        scale = 32 * total_of(1, 8) + 64
        log_scale, log_energy = log(scale), log(energy)
        x = [ratio(256 * d, scale) for d in differences[:8]]
        x += [
            sat((log_scale - 256) >> 2),
            sat((log(85 * total_of(1, 3) + 64) - log_scale) >> 1),
            sat((log(32 * total_of(9, 16) + 64) - log_scale) >> 1),
            ratio(prediction - 256 * base, scale),
            (((prediction + 128) & 255) - 128) >> 1,
            sat((log_energy - log_scale) >> 1),
            sat((log_energy - 256) >> 2),
            sat((log(sigma) - log_energy) >> 1),
            sat((log(((abs(errors[0]) + abs(errors[1])) >> 1) + 1) - log_energy) >> 1),
        ]
        x += [ratio(e, energy) for e in errors]
        sums = []
        for rows, left, right in geometry.windows:
            n = rows * (left + right + 1) + left
            if geometry is Plane and row == 0:
                sums.append((n, n * abs(error_at(0, -1))))
                continue
            box = [(dr, dc) for dr in range(-rows, 0) for dc in range(-left, right + 1)]
            box += [(0, dc) for dc in range(-left, 0)]
            sums.append((n, sum(abs(error_at(*offset)) for offset in box)))
        n, w = sums[-1]
        equal = [tap == level for tap in taps]
        x += [16 * sum(equal[:6]), 4 * sum(equal[:24]), 64 if w < 13 * n else 0]
        x += [sat((log(w + 1) - log(n) - log_energy) >> 1) for n, w in sums]
        others = [256 * value - prediction for value in geometry.alternatives(at)]
        x += [ratio(other, energy) for other in others[: geometry.n_described]]
        if geometry is Track:
            guess = piece.filters[row]
            guess.step([error_at(0, -i) for i in range(1, 17)], energy)
            x += [sat(guess.share >> 6), sat((log(guess.miss + 1) - log_energy) >> 1)]
            others.append(guess.foretold)
        others.append(trained - prediction)
        x.append(ratio(trained - prediction, energy))
        if piece.reconstruction is not None:
            x += [ratio(256 * (value - base), scale) for value in nine]
            x.append(ratio(256 * nine[4] - prediction, energy))
            x += [
                ratio(256 * (at(*offset) - around(*offset)), scale) for offset in geometry.previous
            ]
        experts = self.model.residual["experts"]
        n_seen = min(len(piece.references), len(experts[0]) - 1)
        for reference, near in zip(piece.references[:n_seen], beside, strict=False):
            x += self.reference_inputs(reference, row, column, energy, log_energy)
            x += [ratio(256 * d, scale) for d in near[: geometry.n_near]]
        out = [0] * (3 + len(others))
        flat = settings["flat"] and all(equal[:12])
        if piece.expert < 7 and not flat:
            name = f"residual.expert{piece.expert}.{n_seen}"
            out = self.model.run(name, experts[piece.expert][n_seen], x).tolist()
        return self.classify(out, others, flat, level, prediction, energy, log_energy)

    @staticmethod
    def reference_inputs(reference, row, column, energy, log_energy):
        """Work out the inputs of step 10 that come before the near taps."""
        there = reference.nearest(reference.errors, row, column)
        unit = reference.nearest(reference.energies, row, column)(0, 0)
        errors = [there(*offset) for offset in reference.geometry.reference_errors]
        return [
            ratio(errors[0], unit),
            ratio(errors[0], energy),
            sat((log(unit) - log_energy) >> 1),
            *(sat((log(abs(e) + 1) - log(unit)) >> 1) for e in errors),
        ]

    def classify(self, out, others, flat, level, prediction, energy, log_energy):
        """Choose the table and the centre from the network's outputs (6.5)."""
        o0, o1, o2 = (clamp(o, -m, m) for o, m in zip(out[:3], (255, 255, 127), strict=True))
        expected, mean = 256 * level, 256 * level
        if not flat:
            gates = [clamp(g, -127, 127) for g in out[3:]]
            gated = sum(g * other for g, other in zip(gates, others, strict=True)) >> 6
            expected, mean = prediction, prediction + gated + ((energy * o0) >> 6)
        mean = clamp(mean, 256 * self.lo, 256 * self.hi)
        anchor = 0
        if self.step > 1:
            anchor = (clamp(expected, 256 * self.lo, 256 * self.hi) + 128) >> 8
            away = mean - 256 * anchor
            part = (65536 + self.step // 2) // self.step
            mean = ((away >> 8) * part + (((away & 255) * part) >> 8)) >> 8
        centre = (mean + 128) >> 8
        f = mean - 256 * centre
        phase = min(abs(f) >> 5, 3)
        s = clamp((3 * (log_energy + o1 - 96 - log(self.step))) >> 5, 0, 101)
        low = 0
        if s >= 24:
            low, s = (s - 24) // 3, 24 + (s - 24) % 3
        tail = sum(o2 >= limit for limit in self.model.residual["tails"])
        table = 1 + 72 * tail + (4 * s + phase if s < 15 else 45 + s)
        spot = {"prediction": prediction, "energy": energy, "centre": centre, "anchor": anchor}
        if flat:
            return spot | {"flip": False, "low": 0, "table": 0}
        return spot | {"flip": f < 0, "low": low, "table": table}


def decode(model, lengths, reconstructions, data):
    """Decode a residual section; `lengths` of each piece's lanes, `reconstructions` or Nones."""
    geometry = Track if model.is_track else Plane
    pieces = [
        Piece(geometry, lanes, reconstruction)
        for lanes, reconstruction in zip(lengths, reconstructions, strict=True)
    ]
    Decoder(model, pieces, data)
    return [np.array([v for lane in piece.samples for v in lane], np.int64) for piece in pieces]


def decode_values(model, reconstructions, data):
    """Decode a section of 6.7: items of one shape, value by value."""
    rows, columns = model.residual["shape"]
    tables = model.tensors["residual.tables"].tolist()
    before = [
        (dy, dx)
        for dy in range(-4, 1)
        for dx in range(-4, 4)
        if (dy < 0 or dx < 0) and dy * dy + dx * dx <= 17
    ]
    items = np.zeros((len(reconstructions), rows, columns), np.int64)
    rans = Rans(data, items.size)

    def seen(grid, y, x):
        return int(grid[y][x]) if 0 <= y < rows and 0 <= x < columns else 0

    for y, x in np.ndindex(rows, columns):
        for i, (item, rebuilt) in enumerate(zip(items, reconstructions, strict=True)):
            inputs = [seen(item, y + dy, x + dx) for dy, dx in before]
            inputs += [seen(rebuilt, y + dy, x + dx) for dy in range(-2, 3) for dx in range(-2, 3)]
            inputs += [255 * y // max(1, rows - 1), 255 * x // max(1, columns - 1)]
            out = model.run("residual.expert0.0", model.residual["experts"][0][0], inputs)
            symbol = rans.symbol(i, tables[int(np.argmax(out))])
            item[y, x] = rans.raw(i, 8) if symbol == 256 else symbol
    rans.finish()
    return items.reshape(len(items), -1)
