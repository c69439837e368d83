"""The compiled core stands by itself: no Python, no nanobind, a static library to link with."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from places import ROOT

CORE = ROOT / "src" / "latrans" / "native" / "core"

pytestmark = pytest.mark.skipif(not CORE.is_dir(), reason="the sources of the core are not here")

# Standard headers, and those of the compiler's instructions.
ALLOWED = re.compile(r"c?[a-z_]+|immintrin\.h")

PROGRAM = r"""
#include <cstdio>
#include <cstring>
#include <numeric>
#include <vector>

#include "fallback/estimate_small.h"
#include "kernels.h"
#include "rans/operations.h"
#include "transform/lifting.h"

using namespace latrans;

// Symbols of two tables through a stream and back.
static bool entropy_coder_returns_symbols() {
    const uint16_t frequencies[2][3] = {{4000, 95, 1}, {1, 1, 4094}};
    const SymbolTables<uint16_t> tables(&frequencies[0][0], 2, 3);
    const size_t n = 1000;
    std::vector<int64_t> lane, table, symbol, start, frequency, bits(n, 12);
    for (size_t i = 0; i < n; ++i) {
        lane.push_back(static_cast<int64_t>(i % 4));
        table.push_back(static_cast<int64_t>(i / 3 % 2));
        symbol.push_back(static_cast<int64_t>(i * i % 3));
        const Interval &it = tables.intervals(static_cast<size_t>(table[i]))[symbol[i]];
        start.push_back(it.start);
        frequency.push_back(it.frequency);
    }
    const auto data = encode_operations(
        {lane.data(), start.data(), frequency.data(), bits.data(), n}, 4);
    RansDecoder decoder(data.data(), data.size(), 4);
    std::vector<int64_t> back(n), raws(n);
    const int64_t raw_bits[3] = {};
    pop_symbols(decoder, tables, {lane.data(), table.data(), n, -1, 2, raw_bits}, back.data(),
                raws.data());
    decoder.finish();
    return back == symbol;
}

// A plane through the wavelet's kernels and back.
static bool wavelet_returns_planes() {
    const size_t rows = 37, columns = 29;
    std::vector<int32_t> plane(rows * columns), back(rows * columns);
    for (size_t i = 0; i < plane.size(); ++i) plane[i] = static_cast<int32_t>(i * 7919 % 1009);
    std::vector<int32_t> low(19 * 15), right(19 * 14), below(18 * 15), both(18 * 14);
    wavelet_split<int32_t>(plane.data(), rows, columns,
                           {low.data(), right.data(), below.data(), both.data()});
    wavelet_join<int32_t>({low.data(), right.data(), below.data(), both.data()}, rows, columns,
                          back.data());
    return back == plane;
}

static bool invalid_arguments_are_refused() {
    const uint8_t data[3] = {};
    try {
        estimate_nbytes(data, 3, 2);
    } catch (const std::invalid_argument &) {
        return estimate_nbytes(data, 3, 1) > 0;
    }
    return false;
}

int main() {
    if (!entropy_coder_returns_symbols()) return 1;
    if (!wavelet_returns_planes()) return 2;
    if (!invalid_arguments_are_refused()) return 3;
    std::puts(kernel_names().front());
    return 0;
}
"""


def run(*command: str | Path, **options) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


def works(*command: str) -> bool:
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run([*command, "--version"], capture_output=True, check=False).returncode == 0


def test_core_includes_nothing_but_itself_and_the_standard_library():
    for path in sorted(CORE.rglob("*.h")) + sorted(CORE.rglob("*.cpp")):
        for opening, name in re.findall(
            r'^\s*#\s*include\s*(["<])([^">]+)', path.read_text(), re.M
        ):
            if opening == '"':
                assert (CORE / name).is_file(), f"{path}: {name} is not a file of the core"
            else:
                assert ALLOWED.fullmatch(name), f"{path}: {name} is not a standard header"


def with_cmake(folder: Path) -> Path:
    build = folder / "build"
    run("cmake", "-S", CORE, "-B", build, "-DCMAKE_BUILD_TYPE=Debug",
        "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON")  # fmt: skip
    commands = json.loads((build / "compile_commands.json").read_text())
    assert len(commands) == len(list(CORE.rglob("*.cpp")))
    for entry in commands:
        included = re.findall(r"-(?:I|isystem)\s*(\S+)", entry["command"])
        assert [Path(p).resolve() for p in included] == [CORE.resolve()]
    run("cmake", "--build", build, "--parallel", str(min(4, os.cpu_count() or 1)))
    return build / "liblatrans_core.a"


def by_hand(folder: Path, flags: list[str]) -> Path:
    objects = []
    for number, source in enumerate(sorted(CORE.rglob("*.cpp"))):
        objects.append(folder / f"{number}.o")
        run("c++", *flags, "-fPIC", "-c", source, "-o", objects[-1])
    library = folder / "liblatrans_core.a"
    run("ar", "rcs", library, *objects)
    return library


@pytest.mark.skipif(not works("c++"), reason="there is no C++ compiler")
def test_core_compiles_as_a_static_library_without_python(tmp_path):
    flags = ["-std=c++17", "-O0", "-ffp-contract=off", f"-I{CORE}"]
    if works("cmake") and (works("make") or works("ninja")):
        library = with_cmake(tmp_path)
    else:
        library = by_hand(tmp_path, flags)
    (tmp_path / "program.cpp").write_text(PROGRAM)
    program = tmp_path / "program"
    run("c++", *flags, tmp_path / "program.cpp", library, "-pthread", "-o", program)
    assert run(program).stdout.strip() in ("portable", "avx2", "avx512")
    portable = run(program, env={**os.environ, "LATRANS_CPU": "portable"})
    assert portable.stdout.strip() == "portable"
