"""ONNX graphs of odd kinds: each is timed and profiled on both engines, or one word says why."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import odd_graphs as odd
import onnx
import pytest
from fake_runs import here

from perfsuite import api
from perfsuite.domain.judgement import Labelled
from perfsuite.domain.record import (
    IN_FLOAT,
    INFINITE,
    INT8_ALREADY,
    MAY_OVERFLOW,
    NAN_OF_MADE_UP,
    Record,
    Run,
)
from perfsuite.judge.cautions import cautions
from perfsuite.report.sentences import caution_sentence
from perfsuite.runner import schedule

pytest.importorskip("onnxruntime")
pytest.importorskip("openvino")

ENGINES = ("onnxruntime", "openvino")
SUITE = """
workloads = {names}
runtimes  = ["onnxruntime", "openvino"]
threads   = 1
processes = 1
measure   = {{ calls = 5, seconds = 0.0, warmup_seconds = 0.0 }}
"""

# Both engines run them.
RUN = (
    odd.unused_input,
    odd.weights_among_inputs,
    odd.input_as_output,
    odd.input_through_identity,
    odd.value_under_two_names,
    odd.weight_as_output,
    odd.constant_as_output,
    odd.names_used_twice,
    odd.no_names,
    odd.odd_names,
    odd.scalar_output,
    odd.empty_output,
    odd.whole_numbers,
    odd.text_output,
    odd.masked_logits,
    odd.nan_of_made_up_inputs,
    odd.local_function,
    odd.whole_fp16,
    odd.fp16_weights,
    odd.int8_weights,
    odd.int8_dynamic,
    odd.weights_twice,
    odd.sparse_weights,
    odd.sparse_constant,
    odd.dropout_turned_off,
)
# ONNX Runtime alone does, and the other says why not.
ONE_RUNS = {
    odd.sequence_output: "output 'q' is a sequence, and openvino gives tensors alone",
    odd.optional_output: "output 'o' is an optional value, and openvino gives tensors alone",
    odd.maps_output: "output 'm' is a sequence, and openvino gives tensors alone",
}
# Nobody runs them: the kind of the error, and what it says.
NONE_RUNS = {
    odd.bf16_output: ("Unsupported", "output 'y' is .*a type that NumPy lacks.*Cast"),
    odd.custom_operator: ("Unsupported", "has no operator .*Sharpen.*an operator of your own"),
    odd.noise: (
        "BuildError",
        r"noise.onnx answers by chance: .*'noise' \(RandomNormalLike\) draws",
    ),
    odd.dropout_left_on: ("BuildError", r"answers by chance: .*'drop' \(Dropout\) draws"),
    odd.no_output: ("ConfigError", "the graph has no outputs"),
    odd.output_listed_twice: ("ConfigError", "output 'y' is listed twice"),
    odd.future_operators: ("ConfigError", "its operator set is 99, the installed onnx package"),
    odd.future_format: ("ConfigError", "its IR version is 99, the installed onnx package"),
    odd.sequence_input: ("ConfigError", "input 'q' is a sequence, not a tensor"),
    odd.optional_input: ("ConfigError", "input 'o' is an optional value, not a tensor"),
}


def name_of(make: odd.Make) -> str:
    return make.__name__


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Run all of them, in one suite and this process."""
    folder = tmp_path_factory.mktemp("odd")
    made = [*RUN, *ONE_RUNS, *NONE_RUNS, odd.huge_numbers]
    for make in made:
        (folder / f"{name_of(make)}.onnx").write_bytes(make().SerializeToString())
    whole = odd.model(odd.body()).SerializeToString()
    (folder / "cut_short.onnx").write_bytes(whole[: len(whole) // 2])
    names = [f"{name_of(make)}.onnx" for make in made] + ["cut_short.onnx"]
    (folder / "suite.toml").write_text(SUITE.format(names=str(names).replace("'", '"')))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PERFSUITE_CELL", "")
        patch.setenv("PERFSUITE_HOME", str(folder / "home"))
        patch.setattr(api, "work_off", lambda j, o: schedule.work_off(j, o, here))
        yield api.run(folder / "suite.toml", folder / "run")[1]


def record_of(run: Run, make: odd.Make | str, engine: str) -> Record:
    name = make if isinstance(make, str) else name_of(make)
    key = f"{name}/fp32/{engine}/cpu/b1"
    return next(one for one in run.records.values() if one.cell.key == key)


def check_whole(record: Record) -> None:
    """It was timed and profiled, and each kernel belongs to something."""
    assert record.status == "ok", record.error
    assert len(record.latencies_s[0]) == 5
    assert record.breakdown is not None
    rows = {row.name: row.time_s for row in record.breakdown.rows}
    assert rows.get("unattributed", 0.0) == 0.0, rows


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("make", RUN, ids=name_of)
def test_it_is_timed_and_profiled(run: Run, make: odd.Make, engine: str) -> None:
    check_whole(record_of(run, make, engine))


@pytest.mark.parametrize("make", ONE_RUNS, ids=name_of)
def test_onnxruntime_alone_times_and_profiles_it(run: Run, make: odd.Make) -> None:
    check_whole(record_of(run, make, "onnxruntime"))
    other = record_of(run, make, "openvino")
    assert other.status == "unsupported"
    assert other.error is not None
    assert ONE_RUNS[make] in other.error.message


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("make", NONE_RUNS, ids=name_of)
def test_it_is_refused_in_words(run: Run, make: odd.Make, engine: str) -> None:
    record = record_of(run, make, engine)
    assert record.error is not None, record.status
    kind, message = NONE_RUNS[make]
    assert record.error.kind == kind
    assert re.search(message, record.error.message, re.DOTALL), record.error.message


@pytest.mark.parametrize("engine", ENGINES)
def test_a_file_that_was_cut_short(run: Run, engine: str) -> None:
    record = record_of(run, "cut_short", engine)
    assert record.error is not None
    assert record.error.kind == "ConfigError"
    assert "cut_short.onnx: not an ONNX file, or cut short" in record.error.message


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_told_of_the_file_and_of_its_answers(run: Run, engine: str) -> None:
    told = {
        make: set(record_of(run, make, engine).labels) - {"unlabelled", "unsteady"} for make in RUN
    }
    assert told[odd.masked_logits] == {INFINITE}
    assert told[odd.nan_of_made_up_inputs] == {NAN_OF_MADE_UP}
    assert told[odd.whole_fp16] == {"fp16 already"}
    assert told[odd.fp16_weights] == {"fp16 weights already"}
    assert told[odd.int8_weights] == {"int8 weights already"}
    assert told[odd.int8_dynamic] - {IN_FLOAT, MAY_OVERFLOW} == {INT8_ALREADY}
    plain = set(RUN) - {odd.masked_logits, odd.nan_of_made_up_inputs, odd.whole_fp16,
                        odd.fp16_weights, odd.int8_weights, odd.int8_dynamic}  # fmt: skip
    assert {make: told[make] for make in plain if told[make]} == {}


def test_an_engine_that_computes_large_integers_otherwise(run: Run) -> None:
    check_whole(record_of(run, odd.huge_numbers, "onnxruntime"))
    other = record_of(run, odd.huge_numbers, "openvino")
    assert other.error is not None
    assert other.error.kind == "ParityError"
    assert "output 'h' differs" in other.error.message
    assert "compute integers in 32 bits" in other.error.message
    assert "answers as the model does: this is a fault of the engine" in other.error.message


def test_each_label_has_its_sentence(run: Run) -> None:
    found = {one.label: one for one in cautions(run) if isinstance(one, Labelled)}
    nan = found[NAN_OF_MADE_UP]
    keys = tuple(f"nan_of_made_up_inputs/fp32/{engine}/cpu/b1" for engine in ENGINES)
    assert nan.cells == keys
    assert "NaN on inputs that were made up" in caution_sentence(nan)
    assert "as another workload with the same samples" in caution_sentence(found[INT8_ALREADY])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "make", [odd.names_used_twice, odd.no_names, odd.odd_names, odd.value_under_two_names]
)
def test_macs_are_those_of_their_own_rows(run: Run, make: odd.Make, engine: str) -> None:
    """The convolution's 16 places of 8 times 27, the linear layer's 8 times 4."""
    breakdown = record_of(run, make, engine).breakdown
    assert breakdown is not None
    macs = [row.macs for row in breakdown.rows if row.macs]
    flat = [one for row in breakdown.rows for one in (row.children or (row,))]
    assert sorted(one.macs for one in flat if one.macs) == [8 * odd.CLASSES, 16 * 8 * 27], macs


def test_int8_is_refused_of_what_is_int8_already(tmp_path: Path) -> None:
    from perfsuite.errors import Unsupported
    from perfsuite.passes.int8.int8 import Int8

    with pytest.raises(Unsupported, match=r"INT8 already.*with recipe fp32"):
        Int8().apply(odd.int8_dynamic(), None)  # type: ignore[arg-type]


def test_the_maps_are_the_tensor_that_they_were_made_of(tmp_path: Path) -> None:
    from perfsuite.runner.build.reference import graph_outputs

    onnx.save(odd.maps_output(), tmp_path / "net.onnx")
    x = {"x": np.random.default_rng(0).normal(size=(3, 3, odd.SIDE, odd.SIDE)).astype(np.float32)}
    (probabilities,) = graph_outputs(tmp_path / "net.onnx", x)
    assert probabilities.shape == (3, odd.CLASSES)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-5)
