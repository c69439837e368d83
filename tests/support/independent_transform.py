"""The lossy transform: FORMAT.md 11 as plain Python.

Part of the independent reader, see independent_reader.py.
"""

import numpy as np

from independent_geometry import clamp, log, sat
from independent_network import Bytes, Rans

LOW, HORIZONTAL, VERTICAL, DIAGONAL = range(4)
STEPS = (
    (12612, 9102, 6746, 5074, 3833, 2899, 2194, 1660),
    (16201, 12417, 8969, 6654, 5006, 3782, 2861, 2164),
    (20811, 16939, 11925, 8725, 6537, 4933, 3730, 2822),
)
SINGLE = ((0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0))
MORE = ((-1, -2), (-1, 2), (-2, -1), (-2, 1))


def decode(model, section, planes):
    """Return the samples of each plane (11.1)."""
    reader = Bytes(section)
    is_colour, step, base = reader.unpack("B"), reader.varint(), reader.zigzag()
    rans = Rans(reader.take(), planes.count * planes.height * planes.width)
    together = 3 if is_colour else 1
    out = []
    for _ in range(0, planes.count, together):
        earlier, carriers = [], []
        for _ in range(together):
            plane = Plane(model, planes.height, planes.width, step, earlier, rans)
            carriers.append(plane.decode())
            earlier.append(plane.magnitudes)
        if is_colour:
            a, b, d = carriers
            sums = (
                9459 * a + 11585 * b - 6689 * d,
                9459 * a + 13377 * d,
                9459 * a - 11585 * b - 6689 * d,
            )
            carriers = [(total + 8192) >> 14 for total in sums]
        out += [((c + 512) >> 10) + base for c in carriers]
    rans.finish()
    return out


class Plane:
    """One plane that is being decoded: bands by (level, kind)."""

    def __init__(self, model, height, width, step, earlier, rans):
        self.model, self.step, self.earlier, self.rans = model, step, earlier, rans
        self.sizes = [(height, width)]
        while max(self.sizes[-1]) > 16 and len(self.sizes) <= 8:
            self.sizes.append(tuple((n + 1) // 2 for n in self.sizes[-1]))
        self.tables = model.tensors["transform.tables"].tolist()
        self.means = model.tensors["transform.means"].tolist()
        self.magnitudes, self.codes = {}, {}

    def decode(self):
        """Return the plane's carriers."""
        top = len(self.sizes) - 1
        code = self.rans.raw(0, 8)
        values, _ = self.values(top, LOW, self.sizes[top], code, None)
        for y, x in np.ndindex(values.shape):
            w, n = (values[y, x - 1] if x else 0), (values[y - 1, x] if y else 0)
            nw = values[y - 1, x - 1] if x and y else 0
            values[y, x] += clamp(w + n - nw, min(w, n), max(w, n))
        low = values * self.band_step(top, LOW)
        before = code
        for level in range(top, 0, -1):
            details = []
            for kind in (HORIZONTAL, VERTICAL, DIAGONAL):
                detail, before = self.detail(level, kind, low, before)
                details.append(detail)
            low = join(low, *details)
        return low

    def band_step(self, level, kind):
        if level == 0:
            return self.step
        return max(1, (self.step * STEPS[(kind + 1) // 2][level - 1]) >> 14)

    def detail(self, level, kind, low, before):
        """Return a band's coefficients and its code, or the one before."""
        rows, columns = self.sizes[level]
        if kind in (VERTICAL, DIAGONAL):
            rows = self.sizes[level - 1][0] // 2
        if kind in (HORIZONTAL, DIAGONAL):
            columns = self.sizes[level - 1][1] // 2
        if not rows * columns:
            empty = np.zeros((rows, columns), np.int64)
            self.magnitudes[level, kind], self.codes[level, kind] = empty, 0
            return empty, before
        coarsest = level == len(self.sizes) - 1
        code = self.code(before if coarsest else self.codes[level + 1, kind], coarsest)
        gain = self.rans.raw(0, 3) if kind != DIAGONAL else 0
        values, classes = self.values(level, kind, (rows, columns), code, low)
        step = self.band_step(level, kind)
        out = np.zeros((rows, columns), np.int64)
        weights = self.model.tensors["transform.prediction"][min(level, 3) - 1].tolist()
        for y, x in np.ndindex(rows, columns):
            v = int(values[y, x])
            if v:
                row = self.model.tensors["transform.centroids"][classes[y, x]]
                size = ((256 * abs(v) + int(row[min(abs(v), 3) - 1])) * step) >> 8
                out[y, x] = size if v > 0 else -size
            if kind != DIAGONAL:
                out[y, x] += (
                    gain * predicted(Around(low, y, x, kind == VERTICAL), weights) + 2
                ) >> 2
        return out, code

    def code(self, expected, coarsest):
        symbol = self.rans.symbol(0, self.means[2 if expected == 0 else int(coarsest)])
        if symbol == 64:
            return self.rans.raw(0, 8)
        return max(0, expected + symbol - 32) if symbol else 0

    def values(self, level, kind, shape, code, low):
        """Return values and classes of a band (11.6)."""
        values, classes = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        if code:
            known = self.known(level, kind, shape, code, low)
            rows, columns = shape
            for top in range(0, rows, 16):
                lanes = range(min(16, rows - top))
                for step in range(columns + 4 * 15):
                    here = [(top + j, step - 4 * j) for j in lanes if 0 <= step - 4 * j < columns]
                    row = 4 * (clamp(level, 1, 3) - 1) + kind
                    self.take(here, values, classes, known, row)
        self.magnitudes[level, kind], self.codes[level, kind] = np.abs(values), code
        return values, classes

    def take(self, here, values, classes, known, row):
        """Decode the values of one step."""
        rans, tokens, raws = self.rans, [], []
        for y, x in here:
            inputs = causal(values, y, x) + known[y][x]
            (o,) = self.model.run("transform.network", self.model.transform["network"], inputs)
            classes[y, x] = clamp(((int(o) + 8) >> 4) + 32, 0, 63)
            tokens.append(rans.symbol(y % 16, self.tables[classes[y, x]]))
        tokens = [
            rans.raw(y % 16, 8) if token == 56 else token
            for (y, _), token in zip(here, tokens, strict=True)
        ]
        counts = [(t - 16) // 2 + 3 if t >= 16 else 0 for t in tokens]
        raws, negative = [], []
        for (y, x), token, n in zip(here, tokens, counts, strict=True):
            negative.append(token > 0 and self.sign(values, y, x, row, token))
            raws.append(rans.raw(y % 16, min(n, 16)))
        for i, (y, x) in enumerate(here):
            bits = raws[i] | rans.raw(y % 16, max(0, counts[i] - 16)) << 16
            m = tokens[i]
            if m >= 16:
                k = (m - 16) // 2 + 4
                m = 1 << k | ((m - 16) % 2) << (k - 1) | bits
            values[y, x] = -m if negative[i] else m

    def sign(self, values, y, x, row, m):
        """Return whether a value is negative."""
        t = 0
        weights = self.model.tensors["transform.sign_weights"][row].tolist()
        for weight, (dy, dx) in zip(weights, SINGLE, strict=True):
            if y + dy >= 0 and 0 <= x + dx < values.shape[1]:
                t += weight * clamp(int(values[y + dy, x + dx]), -3, 3)
        table = (8 * row + min(abs(t) >> 2, 7)) * 3 + min(m, 3) - 1
        table = self.model.tensors["transform.sign_tables"][table].tolist()
        return (t < 0) != bool(self.rans.symbol(y % 16, table))

    def known(self, level, kind, shape, code, low):
        """Return the inputs 2 to 6 of 11.4 of every place."""
        parent = self.magnitudes.get((level + 1, kind)) if kind != LOW else None
        if parent is not None and not parent.size:
            parent = None
        siblings = [self.magnitudes[level, k] for k in range(1, kind)]
        others = [
            [fitted(other, shape) for other in group if other.size]
            for group in (siblings, [e[level, kind] for e in self.earlier])
        ]
        step = self.band_step(level, kind)
        steepness = {} if low is None else {t: slopes(low, t) for t in (False, True)}
        constant = [min(127, 16 * (level - 1)) if level else 0]
        constant += [32 * (k == kind) for k in range(4)]
        constant += [
            clamp(4 * (code - 49), -127, 127),
            0 if parent is None else clamp(4 * (self.codes[level + 1, kind] - 49), -127, 127),
            32 * len(others[1]),
            32 * (parent is not None),
        ]
        out = [[[] for _ in range(shape[1])] for _ in range(shape[0])]
        for y, x in np.ndindex(shape):
            inputs = out[y][x]
            inputs += [0, 0, 0] if parent is None else of_parent(parent, y, x)
            for group in others:
                for other in group:
                    inputs += [size(4 * int(other[y, x])), size(box(other, y, x) >> 1)]
                inputs += [0, 0] * (2 - len(group))
            for turned in (False, True):
                for e in steepness.get(turned, ()):
                    e = e.T if turned else e
                    e = int(e[min(y, e.shape[0] - 1), min(x, e.shape[1] - 1)])
                    inputs.append(sat((log(abs(e) + step) - log(step)) >> 1))
            inputs += [0] * (8 if low is None else 0)
            inputs += constant
        return out


class Around:
    """A picture around a place, its border repeated; `turned` exchanges rows and columns."""

    def __init__(self, picture, y, x, turned=False):
        self.picture, self.y, self.x, self.turned = picture, y, x, turned

    def __call__(self, dy, dx):
        if self.turned:
            dy, dx = dx, dy
        rows, columns = self.picture.shape
        return int(
            self.picture[clamp(self.y + dy, 0, rows - 1), clamp(self.x + dx, 0, columns - 1)]
        )


def difference(at, dy):
    return at(dy, -1) - at(dy, 0) - at(dy, 1) + at(dy, 2)


def predicted(at, weights):
    """P of 11.3."""
    far = at(0, -2) - at(0, 0) - at(0, 1) + at(0, 3)
    beside = difference(at, -1) + difference(at, 1)
    terms = (difference(at, 0), beside, far)
    return (sum(w * t for w, t in zip(weights, terms, strict=True)) + 8192) >> 14


def slopes(low, turned):
    """The four values e of inputs 4, each of the shape of the (turned) picture."""
    picture = low.T if turned else low
    first, second, aside = (np.zeros(picture.shape, np.int64) for _ in range(3))
    for y, x in np.ndindex(picture.shape):
        at = Around(picture, y, x)
        first[y, x] = abs(at(0, 1) - at(0, 0))
        second[y, x] = difference(at, 0)
        aside[y, x] = at(1, 0) - at(-1, 0)
    wide = np.zeros_like(first)
    for y, x in np.ndindex(picture.shape):
        wide[y, x] = box(first, y, x) >> 3
    return first, second, wide, aside


def size(quadrupled):
    return min((log(quadrupled + 4) - 64) >> 1, 127)


def box(values, y, x):
    return int(values[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2].sum())


def causal(values, y, x):
    """Return inputs 1 of 11.4."""

    def magnitude(dy, dx):
        inside = y + dy >= 0 and 0 <= x + dx < values.shape[1]
        return abs(int(values[y + dy, x + dx])) if inside else 0

    single = [magnitude(*offset) for offset in SINGLE]
    wide = sum(single) + sum(magnitude(*offset) for offset in MORE)
    near = 2 * single[0] + 2 * single[1] + single[2] + single[3]
    return [*(size(4 * m) for m in single), size(near), size(wide)]


def of_parent(parent, y, x):
    """Return inputs 2."""
    rows, columns = parent.shape
    py, px = min(y >> 1, rows - 1), min(x >> 1, columns - 1)
    ny = clamp((y >> 1) + (1 if y % 2 else -1), 0, rows - 1)
    nx = clamp((x >> 1) + (1 if x % 2 else -1), 0, columns - 1)
    p = int(parent[py, px])
    near = 2 * p + int(parent[ny, px]) + int(parent[py, nx])
    return [size(4 * p), size(near), size(box(parent, py, px))]


def fitted(other, shape):
    """A band at the places of another, clamped to its last row and column."""
    rows, columns = (
        np.minimum(np.arange(n), m - 1) for n, m in zip(shape, other.shape, strict=True)
    )
    return other[np.ix_(rows, columns)]


def join(low, horizontal, vertical, diagonal):
    """One level of synthesis (11.2)."""
    left, right = lines(low.T, vertical.T).T, lines(horizontal.T, diagonal.T).T
    return lines(left, right)


def lines(low, high):
    """Join low and high values along the last axis."""
    n = low.shape[1] + high.shape[1]
    out = np.zeros((len(low), n), np.int64)
    for row, s, d in zip(out, low.tolist(), high.tolist(), strict=True):
        for on_low, on_high in ((7266, 14466), (-868, -25987)) if d else ():
            for i in range(len(s)):
                s[i] -= lift(on_low, d[max(i - 1, 0)] + d[min(i, len(d) - 1)])
            for i in range(len(d)):
                d[i] -= lift(on_high, s[i] + s[min(i + 1, len(s) - 1)])
        row[0::2], row[1::2] = s, d
    return out


def lift(k, v):
    return (k * v + 8192) >> 14
