"""What is shipped of a real run: it answers as the record says, and guards itself."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner
from shipped_run import CELL, made, run_here, stored

from perfsuite import cli
from perfsuite.config.loading import load_suite
from perfsuite.domain.elsewhere import Elsewhere
from perfsuite.domain.runtime import Manifest
from perfsuite.domain.verdict import Interval
from perfsuite.errors import ConfigError, Incomparable, PerfsuiteError, SchemaError, Unsupported
from perfsuite.runner.build.artifacts import read_manifest
from perfsuite.runtimes.shared.quantization import weight_bits
from perfsuite.ship import ship
from perfsuite.ship import shipping as module
from perfsuite.ship.other_processors import other_processors
from perfsuite.store import kept as kept_files
from perfsuite.store.elsewhere import keep_elsewhere
from perfsuite.store.kept import LIST
from perfsuite.store.runs import load_run

ENGINES = ("onnxruntime", "openvino")
FILES = {"MODEL_CARD.md", "artifact", "predict.py", "suite.toml"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module", params=ENGINES)
def shipped(run: Path, request: pytest.FixtureRequest) -> Path:
    """Return the folder to which the INT8 cell of an engine was shipped."""
    return ship(run, CELL.format(request.param), run.parent / "ships" / request.param)


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    """Return a folder that may be spoiled, as deep as where it was shipped from its model."""
    folder = run.parent / "copies" / tmp_path.name
    return ship(run, CELL.format("onnxruntime"), folder, command=f"perfsuite run {run}/mine.toml")


def relisted(folder: Path, change: Callable[[Path], None]) -> None:
    """Change an artifact and its list of files alike, as whoever ships it anew would."""
    before = kept_files.digest_of_list(folder)
    (folder / LIST).unlink()
    change(folder)
    (folder / LIST).write_text(kept_files._listed(folder))
    after = kept_files.digest_of_list(folder)
    for file in (folder.parent / name for name in ("suite.toml", "predict.py")):
        file.write_text(file.read_text().replace(before, after))


def test_all_of_it_is_there_and_names_neither_the_machine_nor_a_pickle(
    shipped: Path, run: Path, root: Path
) -> None:
    assert {path.name for path in shipped.iterdir()} == FILES
    own = [str(one).encode() for one in (run.parent, Path.home(), root, Path(sys.prefix))]
    for path in shipped.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not [one for one in own if one in content], path
            assert not content.startswith(b"\x80") and path.suffix not in (".pkl", ".pt", ".pth")
    with np.load(shipped / "artifact" / "inputs.npz", allow_pickle=False) as file:
        assert all(file[name].dtype == np.float32 for name in file.files)


def predict(shipped: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the script where neither perfsuite, torch nor what comes with them can be imported."""
    blocked = cwd / "blocked"
    blocked.mkdir(exist_ok=True)
    for name in ("perfsuite", "torch", "onnx", "msgspec", "PIL", "onnx_net"):
        (blocked / f"{name}.py").write_text("raise ImportError('it is not needed')")
    return subprocess.run(
        [sys.executable, str(shipped / "predict.py"), *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(blocked)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_script_answers_as_the_record_says(shipped: Path, run: Path, tmp_path: Path) -> None:
    pictures, labels = stored("test")
    np.save(tmp_path / "pictures.npy", pictures)
    np.save(tmp_path / "labels.npy", labels)
    done = predict(shipped, "pictures.npy", "--labels", "labels.npy", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    record = load_run(run).records[cell_id(run, CELL.format(shipped.name))]
    assert record.accuracy is not None and 0.5 < record.accuracy.value < 1.0
    right = round(record.accuracy.value * 130)
    lines = done.stdout.splitlines()
    assert lines[-1] == f"top-1: {record.accuracy.value:.2%} ({right} of 130)"
    assert len(lines) == 131 and lines[0].startswith("0: class ")


def cell_id(run: Path, key: str) -> str:
    return next(cell.id for cell in load_run(run).header.cells if cell.key == key)


def test_the_script_takes_the_models_own_arrays_too(copy: Path, tmp_path: Path) -> None:
    pictures, labels = stored("test")
    one = module.read_manifest(copy / "artifact").inputs[0]
    assert (one.name, one.shape[0]) == ("x", "batch")
    scaled = ((pictures / 255 - 0.5) / 0.25).astype(np.float32).transpose(0, 3, 1, 2)
    np.savez(tmp_path / "own.npz", x=scaled, labels=labels)
    done = predict(copy, "own.npz", "--output", "out.npz", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "out.npz") as file:
        (scores,) = (file[name] for name in file.files)
    assert f"({int((scores.argmax(1) == labels).sum())} of 130)" in done.stdout
    np.save(tmp_path / "scaled.npy", scaled)
    done = predict(copy, "scaled.npy", cwd=tmp_path)
    assert done.returncode == 1
    assert (
        "scaled.npy: float32 (130, 3, 6, 6); it takes an .npy file of RGB pictures" in done.stderr
    )


def test_the_suite_passes_where_nothing_of_it_was_built(shipped: Path, tmp_path: Path) -> None:
    judged = run_here(shipped / "suite.toml", tmp_path / "run", tmp_path / "home")
    assert judged.judgement.exit_code == 0, judged.judgement
    assert [verdict.status for verdict in judged.judgement.verdicts] == ["pass", "pass"]
    keys = [cell.key for cell in judged.run.header.cells]
    assert keys == ["net/fp32/onnxruntime/cpu/b1", CELL.format(shipped.name)]
    assert str(shipped / "artifact" / "facts.json") in judged.run.header.files  # for --resume
    assert not (tmp_path / "home" / "cache" / "graph").exists()  # no pass was applied
    (taken,) = (record for record in judged.run.records.values() if record.cell.recipe == "int8")
    cached = tmp_path / "home" / "cache" / "artifact" / taken.artifact
    names = {path.name for path in (shipped / "artifact").iterdir()} - {LIST}
    assert {path.name for path in cached.iterdir()} == names
    assert all((cached / n).read_bytes() == (shipped / "artifact" / n).read_bytes() for n in names)


def test_a_flipped_byte_is_refused_by_name_by_the_suite_and_the_script(
    copy: Path, tmp_path: Path
) -> None:
    weights = copy / "artifact" / "model.onnx"
    flip(weights)
    done = CliRunner().invoke(
        cli.main, ["run", str(copy / "suite.toml"), "-o", str(tmp_path / "run")]
    )
    assert done.exit_code == 2
    said = " ".join(done.output.split())
    assert "suite.toml: recipes[0].shipped.artifact: " in said
    assert f"{weights}: not as it was kept, its SHA-256 is another" in said
    assert "copy the whole folder again from where it was shipped" in said
    np.save(tmp_path / "pictures.npy", stored("test")[0])
    told = predict(copy, "pictures.npy", cwd=tmp_path)
    assert told.returncode == 1
    assert told.stderr.startswith(f"{weights}: not as it was shipped")


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_what_is_spoiled_later_fails_its_cell(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perfsuite.config.shipped.fault", lambda folder: None)
    flip(copy / "artifact" / "model.onnx")
    judged = run_here(copy / "suite.toml", tmp_path / "run", tmp_path / "home")
    (record,) = (one for one in judged.run.records.values() if one.cell.recipe == "int8")
    assert record.error is not None and record.error.kind == "SchemaError"
    assert "model.onnx: not as it was kept" in record.error.message
    assert judged.judgement.exit_code == 2


def test_another_version_works_or_says_why(copy: Path, tmp_path: Path) -> None:
    def older(folder: Path) -> None:
        facts = json.loads((folder / "facts.json").read_text())
        facts["versions"] = {"onnxruntime": "0.1"}
        (folder / "facts.json").write_text(json.dumps(facts))

    relisted(copy / "artifact", older)
    judged = run_here(copy / "suite.toml", tmp_path / "run", tmp_path / "home")
    (record,) = (one for one in judged.run.records.values() if one.cell.recipe == "int8")
    assert judged.judgement.exit_code == 0
    assert "built with onnxruntime 0.1" in record.labels
    relisted(copy / "artifact", lambda folder: flip_all(folder / "model.onnx"))
    judged = run_here(copy / "suite.toml", tmp_path / "again", tmp_path / "home")
    (record,) = (one for one in judged.run.records.values() if one.cell.recipe == "int8")
    assert record.error is not None
    assert "it was built with onnxruntime 0.1, and here is onnxruntime" in record.error.message
    assert judged.judgement.exit_code == 2


def test_other_files_under_a_list_of_their_own_are_told(copy: Path) -> None:
    """Whoever writes another list has not shipped the folder: the suite knows which one it was."""
    artifact = copy / "artifact"
    flip_all(artifact / "model.onnx")
    (artifact / LIST).unlink()
    (artifact / LIST).write_text(kept_files._listed(artifact))
    with pytest.raises(ConfigError, match=r"shipped\.sha256: .*these are other files than were"):
        load_suite(copy / "suite.toml")


def flip_all(path: Path) -> None:
    path.write_bytes(bytes(one ^ 255 for one in path.read_bytes()))


def test_a_moved_folder_says_that_the_model_is_gone(copy: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere" / "deeper"
    shutil.copytree(copy, moved)
    with pytest.raises(ConfigError, match=r"suite.toml: workloads\[0\]: .*there is no file"):
        run_here(moved / "suite.toml", tmp_path / "run", tmp_path / "home")


def test_the_card_says_what_was_measured(copy: Path) -> None:
    text = (copy / "MODEL_CARD.md").read_text()
    assert text.startswith("# net/int8/onnxruntime/cpu/b1\n")
    for said in (
        "calibration\\_samples = 40",
        "made by | perfsuite run mine.toml |",
        "all test samples, 130",
        "speed-up over net/fp32/onnxruntime/cpu/b1",
        "may lose 50 points: pass; ",
        "its best instruction sets",
        "../../models/my\\_models.py:net",
    ):
        assert said in text, said


FORMS = {
    True: ("right on every x86 processor", "was not tried"),
    False: ("made for VNNI: it is not portable", "right on every x86 processor: "),
    None: ("whether it is portable is not known", "made for VNNI"),
}


@pytest.mark.parametrize("portable", list(FORMS))
def test_what_becomes_of_int8_on_other_processors_is_said(portable: bool | None) -> None:
    manifest = Manifest("openvino", "cpu", "fp32", 1, (), (), True, True, portable=portable)
    said, not_said = FORMS[portable]
    text = other_processors(manifest, "my models.py:net")
    assert said in text and not_said not in text
    tried = "perfsuite doctor 'my models.py:net' --recipe int8 --across"
    assert (tried in text) is (portable is not True)
    assert ("portable = true" in text) is (portable is not True)


def test_what_rounds_nothing_to_8_bits_or_runs_on_a_card_has_no_other_processors() -> None:
    manifest = Manifest("openvino", "cpu", "fp32", 1, (), (), True, False)
    assert other_processors(manifest, "net") == ""
    on_card = msgspec.structs.replace(manifest, device="cuda", quantized=True)
    assert other_processors(on_card, "net") == ""


TRIED = Elsewhere(
    cell="net/int8/onnxruntime/cpu/b1/qemu-haswell",
    artifact=CELL.format("onnxruntime"),
    runtime="onnxruntime",
    recipe="int8",
    is_portable=False,
    where="AVX2",
    by="emulated Haswell",
    status="ok",
    metric="top1",
    samples=500,
    here=0.9,
    there=0.75,
    lost=Interval(15.0, 12.0, 18.0),
)
SAID = "Tried on AVX2 (emulated Haswell, 500 samples): top1 75.00 %, 90.00 % here, 15 (12 to 18)"


@pytest.mark.parametrize("portable", list(FORMS))
def test_what_was_tried_elsewhere_is_said(portable: bool | None) -> None:
    manifest = Manifest("openvino", "cpu", "fp32", 1, (), (), True, True, portable=portable)
    text = other_processors(manifest, "net", [TRIED])
    assert SAID in text and "was not tried" not in text
    unknown = msgspec.structs.replace(TRIED, status="no effect", there=None, lost=None)
    assert other_processors(manifest, "net", [unknown]) == other_processors(manifest, "net")


def test_the_card_says_what_was_tried_of_its_artifact(run: Path, tmp_path: Path) -> None:
    cell = CELL.format("onnxruntime")
    records = {one.cell.key: one for one in load_run(run).records.values()}
    keep_elsewhere({records[cell].artifact: [TRIED], "another": []})
    folder = ship(run, cell, run.parent / "copies" / tmp_path.name)
    assert SAID in (folder / "MODEL_CARD.md").read_text()


def test_the_card_says_whether_int8_is_portable(copy: Path) -> None:
    manifest = read_manifest(copy / "artifact")
    assert manifest.portable is (weight_bits() == 7)
    text = (copy / "MODEL_CARD.md").read_text()
    assert ("right on every x86 processor:" if manifest.portable else "made for VNNI") in text


def test_what_cannot_be_shipped_leaves_nothing(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, key = tmp_path / "new" / "ship", CELL.format("openvino")
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine.txt").write_text("mine")

    def refused(kind: type[PerfsuiteError], words: str, *given: object) -> None:
        with pytest.raises(kind, match=words):
            ship(*(given or (run, key, target)))  # type: ignore[arg-type]
        assert not target.exists()

    refused(ConfigError, "there is something already; choose a new", run, key, full)
    assert (full / "mine.txt").read_text() == "mine"
    refused(ConfigError, "no cell 'net/int9/.*did you mean", run, "net/int9/openvino", target)
    refused(ConfigError, "no budget of this run", run, "net/fp32/openvino/cpu/b1", target)
    with monkeypatch.context() as patch:
        patch.setattr(module, "kept", lambda folder, key: None)
        refused(ConfigError, "was not kept with the run; go on with it: .*--keep-artifacts")
    with monkeypatch.context() as patch:
        facts = module.read_facts
        patch.setattr(
            module,
            "read_facts",
            lambda folder: module.msgspec.structs.replace(facts(folder), needs_source=True),
        )
        refused(Unsupported, "it is run with the model's own source and torch; ship the same")
    with monkeypatch.context() as patch:

        def no_room(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        patch.setattr(shutil, "copyfile", no_room)
        refused(PerfsuiteError, "No space left on device; nothing was left there")
    assert not list(tmp_path.rglob("*.partial"))


def test_a_source_or_an_artifact_that_has_changed_is_refused(run: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(run.parent, project, ignore=shutil.ignore_patterns("home", "ships", "copies"))
    source = run.parent / "models" / "my_models.py"
    before = source.read_text()
    source.write_text(before + "\n# changed\n")
    try:
        with pytest.raises(Incomparable, match=r"my_models.py: it has changed since the run"):
            ship(run, CELL.format("openvino"), tmp_path / "ship")
    finally:
        source.write_text(before)
    for file in (project / "run" / "artifacts").glob("*/model.bin"):
        flip(file)
    with pytest.raises(SchemaError, match=r"model.bin: not as it was kept"):
        ship(project / "run", CELL.format("openvino"), tmp_path / "ship")
    assert not (tmp_path / "ship").exists()
