"""Programs state their own proof: what cannot be exact or does not fit together is refused."""

from __future__ import annotations

import contextlib
import copy
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latrans.engine import select
from latrans.engine.program import ACCUMULATOR_LIMIT, Layer, Program
from latrans.errors import ModelError
from program_strategies import programs


def dense(weight, bias=0, shift=1, lo=0, hi=255):
    weight = np.array(weight, np.int8)
    n_out = weight.shape[0]
    return Layer(
        "dense", weight, np.full(n_out, bias, np.int32), np.full(n_out, shift, np.uint8), lo, hi
    )


def test_accumulator_that_could_reach_the_limit_is_refused():
    # 127 * 255 * 518 + bias: the bias alone decides.
    weight = np.full((1, 518), 127)
    room = ACCUMULATOR_LIMIT - 127 * 255 * 518
    Program((dense(weight, room - 1),), 0, 255, (518,)).check()
    for bias in (room, -room):
        with pytest.raises(ModelError, match="accumulator"):
            Program((dense(weight, bias),), 0, 255, (518,)).check()


def test_proof_uses_the_range_of_the_layer_before():
    wide = dense(np.full((300, 1), 1), hi=500)
    last = dense(np.full((1, 300), 127))
    with pytest.raises(ModelError, match="layer 1"):
        Program((wide, last), 0, 255, (1,)).check()
    Program((replace(wide, hi=255), last), 0, 255, (1,)).check()


@given(programs())
def test_proven_programs_stay_below_the_limit_on_their_worst_input(case):
    program, _ = case
    program.check()
    layer = program.layers[0]
    if layer.op == "shuffle":
        return
    largest = max(abs(program.input_lo), abs(program.input_hi))
    sums = np.abs(layer.weight.astype(float)).reshape(len(layer.bias), -1).sum(1) * largest
    assert (sums + np.abs(layer.bias) < ACCUMULATOR_LIMIT).all()


@pytest.mark.parametrize(
    "program",
    [
        Program((dense([[1, 1]]),), 0, 255, (3,)),
        Program((dense([[1]]),), 0, 255, (1, None, None)),
        Program((dense([[1]]),), 9, 8, (1,)),
        Program((dense([[1]]),), 0, 255, (0,)),
        Program((dense([[1]]),), 0, 255, (1, 28, 28)),
        Program((dense([[1]], shift=0),), 0, 255, (1,)),
        Program((dense([[1]], shift=32),), 0, 255, (1,)),
        Program((dense([[1]], lo=5, hi=4),), 0, 255, (1,)),
        Program((replace(dense([[1]]), op="pool"),), 0, 255, (1,)),
        Program((replace(dense([[1]]), bias=np.zeros(2, np.int32)),), 0, 255, (1,)),
        Program((replace(dense([[1]]), weight=np.zeros((1, 1), np.int16)),), 0, 255, (1,)),
        Program((Layer("shuffle", factor=(2, 2)),), 0, 255, (6, None, None)),
    ],
)
def test_what_does_not_fit_together_is_refused(program):
    with pytest.raises(ModelError):
        program.check()


@given(programs())
def test_tensors_and_json_bring_a_program_back(case):
    program, x = case
    tensors, spec = program.to_tensors("a")
    again = Program.from_tensors("a", tensors, json.loads(json.dumps(spec)))
    run = select("reference").run
    assert np.array_equal(run(again, x), run(program, x))
    assert again.output_channels == run(program, x).shape[1]
    assert again.output_range == program.output_range


@given(programs(), st.data())
def test_damaged_description_is_a_model_error(case, data):
    tensors, spec = case[0].to_tensors("a")
    spec = copy.deepcopy(spec)
    junk = data.draw(st.sampled_from([None, 1.5, "x", [], {}, -1, [None, None], True, 1 << 80]))
    target = data.draw(st.sampled_from([spec, *spec["layers"]]))
    target[data.draw(st.sampled_from(sorted(target)))] = junk
    with contextlib.suppress(ModelError):
        Program.from_tensors("a", tensors, spec).check()


@pytest.mark.parametrize("part", ["weight", "bias", "shift"])
def test_missing_or_mistyped_tensor_is_a_model_error(part):
    tensors, spec = Program((dense([[1]]),), 0, 255, (1,)).to_tensors("a")
    name = f"a.0.{part}"
    with pytest.raises(ModelError, match=part):
        Program.from_tensors("a", {**tensors, name: tensors[name].astype(float)}, spec)
    del tensors[name]
    with pytest.raises(ModelError, match=part):
        Program.from_tensors("a", tensors, spec)
