"""Answers samples by the artifact in the folder beside it, which perfsuite has shipped.

    python predict.py pictures.npy [--labels labels.npy]
    python predict.py inputs.npz --output outputs.npz

It needs NumPy and the artifact's engine, and nothing else. SETTINGS and artifact/artifact.json say
what it takes, and how a stored picture becomes the model's input.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

SETTINGS: dict[str, Any] = {}

ARTIFACT = Path(__file__).resolve().parent / "artifact"
MOST = 50  # samples of a call

Arrays = dict[str, np.ndarray]
Take = Callable[[int, int], Arrays]  # gives the model's inputs for the samples from one to another
Run = Callable[[Arrays], list[np.ndarray]]


def main() -> None:
    """Answer the samples that the command line names."""
    parser = argparse.ArgumentParser(description=f"Answers samples by {SETTINGS['cell']}.")
    parser.add_argument("samples", type=Path, help=takes())
    parser.add_argument("--labels", type=Path, help="an .npy file with a label for each sample")
    parser.add_argument("--output", type=Path, help="the .npz file for the outputs as they are")
    parser.add_argument("--threads", type=int, default=SETTINGS["threads"])
    given = parser.parse_args()
    verify()
    manifest = json.loads((ARTIFACT / "artifact.json").read_bytes())
    take, count, labels = samples_of(given.samples, manifest)
    if given.labels is not None:
        labels = loaded(given.labels)
    if SETTINGS["top1"] and labels is not None and np.shape(labels) != (count,):
        sys.exit(f"labels of shape {np.shape(labels)}: give one for each of {count} samples")
    file = given.output or (None if SETTINGS["top1"] else Path("outputs.npz"))
    if file is not None and not file.absolute().parent.is_dir():
        sys.exit(f"{file}: there is no such folder")
    calls = list(answers(manifest, take, count, given.threads))
    if SETTINGS["top1"]:
        judge(np.concatenate([outputs[0] for _, outputs in calls]), labels)
    elif labels is not None:
        print("the labels are not used: its answers are not judged by top-1")
    if file is not None:
        np.savez(file, **collected(manifest["outputs"], calls))  # type: ignore[arg-type]
        print(f"the outputs of {count} samples are in {file}: {', '.join(manifest['outputs'])}")


def takes() -> str:
    """Return what the script takes, in words."""
    how = SETTINGS["preprocessing"]
    own = "an .npz file with the model's own input arrays by their names"
    if how is None:
        return f"{own}: how pictures become them was not declared"
    sides = f"{how['height']}, {how['width']}, {how['channels']}"
    kind = "grey" if how["colours"] == "grey" else "RGB"
    return f"an .npy file of {kind} pictures, uint8 (N, {sides}), or a picture, or {own}"


def verify() -> None:
    """End with a message unless each file of the artifact is as it was shipped, and their list."""
    listed = ARTIFACT / "files.sha256"
    if not listed.is_file() or hashlib.sha256(listed.read_bytes()).hexdigest() != SETTINGS["files"]:
        sys.exit(f"{listed}: not as it was shipped; copy the folder again from where it came")
    for line in listed.read_text(encoding="utf-8").splitlines():
        digest, _, name = line.partition("  ")
        file = ARTIFACT / name
        if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != digest:
            sys.exit(f"{file}: not as it was shipped; copy the folder again from where it came")


# -- samples -------------------------------------------------------------------------------------


def samples_of(path: Path, manifest: dict[str, Any]) -> tuple[Take, int, np.ndarray | None]:
    """Return what gives the inputs of a file's samples, how many there are, and their labels."""
    how = SETTINGS["preprocessing"]
    if not path.is_file():
        sys.exit(f"{path}: there is no such file")
    if path.suffix == ".npz":
        return arrays_of(path, manifest)
    if how is None:
        sys.exit(f"{path}: it takes {takes()}")
    npy = path.suffix == ".npy"
    pictures = loaded(path, mapped=True) if npy else opened(path, how)
    shape = (how["height"], how["width"], how["channels"])
    if isinstance(pictures, dict):
        sys.exit(f"{path}: it has several arrays; it takes {takes()}")
    if pictures.dtype != np.uint8 or pictures.shape[1:] != shape or not len(pictures):
        sys.exit(
            f"{path}: {pictures.dtype} {pictures.shape}; it takes {takes()}. What is prepared "
            f'already goes into such a file: numpy.savez("inputs.npz", {how["input"]}=...)'
        )
    return lambda a, b: {how["input"]: prepared(pictures[a:b], how)}, len(pictures), None


def loaded(path: Path, *, mapped: bool = False) -> Any:
    """Return the array in a file, or the arrays by their names; end with a message if it is torn.

    An array that is `mapped` is read as far as it is used.
    """
    try:
        found = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
        if isinstance(found, np.ndarray):
            return found
        with found:
            return {name: found[name] for name in found.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        sys.exit(f"{path}: NumPy cannot read it: {error}")


def prepared(pictures: np.ndarray, how: dict[str, Any]) -> np.ndarray:
    """Return the model's input of stored pictures, uint8 (N, height, width, channels)."""
    scale, mean, std = (np.array(how[name], np.float32) for name in ("scale", "mean", "std"))
    stored = pictures[..., ::-1] if how["colours"] == "BGR" else pictures
    values = (stored * scale - mean) / std
    if how["layout"] == "NCHW":
        values = values.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(values, how["dtype"])


def opened(path: Path, how: dict[str, Any]) -> np.ndarray:
    """Return a picture's file as one stored picture; this alone needs Pillow."""
    if how["colours"] == "grey":
        sys.exit(f"{path}: only its data set knows the range of its grey values; give an .npy file")
    try:
        from PIL import Image, ImageOps
    except ImportError:
        sys.exit(f"{path}: no .npy file, and to read pictures it takes: pip install pillow")
    with Image.open(path) as file:
        picture = file.convert("RGB")
    width, height = size = how["width"], how["height"]
    if how["fit"] == "crop":  # scaled, and cropped around the centre
        return np.asarray(ImageOps.fit(picture, size, Image.Resampling.BILINEAR))[None]
    share = min(width / picture.width, height / picture.height)
    columns, rows = (max(1, round(side * share)) for side in picture.size)
    if share != 1:
        picture = picture.resize((columns, rows), Image.Resampling.BILINEAR)
    canvas = Image.new("RGB", size)
    canvas.paste(picture, (0, 0))
    return np.asarray(canvas)[None]


def arrays_of(path: Path, manifest: dict[str, Any]) -> tuple[Take, int, np.ndarray | None]:
    """Return the same of a file with the model's own input arrays."""
    found = loaded(path)
    if not isinstance(found, dict):
        sys.exit(f"{path}: it has one array without a name; it takes {takes()}")
    arrays, axes = dict[str, np.ndarray](), dict[str, int]()
    for spec in manifest["inputs"]:
        name, axis = spec["name"], sample_axis(spec)
        if name not in found:
            sys.exit(f"{path}: there is no array '{name}' in it; it takes {takes()}")
        arrays[name] = fitting(path, found[name], spec, axis)
        if axis is not None:
            axes[name] = axis
    counts = {name: arrays[name].shape[axis] for name, axis in axes.items()}
    if len(set(counts.values())) > 1 or 0 in counts.values():
        sys.exit(f"{path}: so many samples: {counts}; give as many of each input, at least one")

    def take(start: int, stop: int) -> Arrays:
        chosen = range(start, stop)
        cut = {name: np.take(arrays[name], chosen, axis) for name, axis in axes.items()}
        return {name: np.ascontiguousarray(one) for name, one in (arrays | cut).items()}

    return take, next(iter(counts.values()), manifest["batch"]), found.get("labels")


def fitting(path: Path, array: np.ndarray, spec: dict[str, Any], axis: int | None) -> np.ndarray:
    """Return an array in the type of an input; end with a message if its values or shape differ."""
    shape = spec["shape"]
    cast = array.astype(spec["dtype"])
    sides = [array.shape[at] if at == axis or isinstance(one, str) else one
             for at, one in enumerate(shape) if at < array.ndim]  # fmt: skip
    floats = array.dtype.kind == cast.dtype.kind == "f"
    if len(shape) != array.ndim or tuple(sides) != array.shape or not (
        floats or np.array_equal(cast, array)
    ):  # fmt: skip
        sys.exit(
            f"{path}: '{spec['name']}' is {array.dtype} {array.shape}, and the model takes "
            f"{spec['dtype']} ({', '.join(map(str, shape))})"
        )
    return cast


def sample_axis(spec: dict[str, Any]) -> int | None:
    """Return which axis of an input counts samples; None if it is the same for all of them."""
    if "batch" in spec["shape"]:
        return int(spec["shape"].index("batch"))
    return 0 if spec["shape"] and not spec["per_call"] else None


# -- calls ---------------------------------------------------------------------------------------


def answers(
    manifest: dict[str, Any], take: Take, count: int, threads: int
) -> Iterator[tuple[int, list[np.ndarray]]]:
    """Yield the outputs of each call, and to how many samples they are the answers.

    A call has as many samples as those that perfsuite has judged it by. Scores are padded.
    """
    size = manifest["batch"]
    if SETTINGS["any_batch"]:
        first = min(count, 2 * MOST)
        size = math.ceil(first / math.ceil(first / MOST))
    run, ready_for = None, 0
    for start in range(0, count, size):
        kept = min(size, count - start)
        asked = kept if SETTINGS["any_batch"] and not SETTINGS["top1"] else size
        if asked > kept and not SETTINGS["top1"]:
            sys.exit(f"{count} samples: it takes a multiple of {size}")
        if run is None or asked != ready_for:
            run, ready_for = started(manifest, asked, threads), asked
        outputs = run(padded(take(start, start + kept), manifest, asked - kept))
        yield kept, [one[:kept] if one.ndim and len(one) == asked else one for one in outputs]


def padded(inputs: Arrays, manifest: dict[str, Any], more: int) -> Arrays:
    """Return the inputs with the last sample repeated so many times."""
    found = dict(inputs)
    for spec in manifest["inputs"] if more else ():
        array, axis = inputs[spec["name"]], sample_axis(spec)
        if axis is not None:
            last = np.take(array, [array.shape[axis] - 1] * more, axis)
            found[spec["name"]] = np.concatenate([array, last], axis)
    return found


def started(manifest: dict[str, Any], batch: int, threads: int) -> Run:
    """Return what answers calls of `batch` samples, with the settings that were timed."""
    engines = {
        "onnxruntime": onnxruntime_run,
        "openvino": openvino_run,
        "perfsuite-binary": perfsuite_binary_run,
    }
    try:
        return engines[manifest["runtime"]](manifest, batch, threads)
    except Exception as error:  # noqa: BLE001 - an engine's errors have no common class
        built = " ".join(f"{name}=={one}" for name, one in SETTINGS["versions"].items())
        sys.exit(
            f"{manifest['runtime']} does not open the artifact: {error}\n"
            f"it was built with {built}; install that: pip install {built}"
        )


def onnxruntime_run(manifest: dict[str, Any], batch: int, threads: int) -> Run:
    """Return what answers a call on ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 4
    options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "1")
    options.add_free_dimension_override_by_name("batch", batch)
    file, providers = str(ARTIFACT / "model.onnx"), ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(file, options, providers=providers)
    return lambda inputs: [np.asarray(one) for one in session.run(None, inputs)]


def openvino_run(manifest: dict[str, Any], batch: int, threads: int) -> Run:
    """Return what answers a call on OpenVINO."""
    import openvino

    core = openvino.Core()
    model = core.read_model(str(ARTIFACT / "model.xml"))
    open_sides = {"batch": batch}
    model.reshape({
        spec["name"]: openvino.PartialShape(
            [open_sides.get(one, -1) if isinstance(one, str) else one for one in spec["shape"]]
        )
        for spec in manifest["inputs"]
    })  # fmt: skip
    precision = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}[manifest["precision"]]
    settings = {
        "INFERENCE_PRECISION_HINT": precision,
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0,
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
    }
    needed = ["perfsuite", "SNIPPETS_MODE"]  # written into the model where it answers right by it
    if model.has_rt_info(needed):
        settings[needed[1]] = model.get_rt_info(needed).astype(str)
    request = core.compile_model(model, "CPU", settings).create_infer_request()

    def run(inputs: Arrays) -> list[np.ndarray]:
        request.infer(inputs)
        places = range(len(manifest["outputs"]))
        return [np.array(request.get_output_tensor(place).data) for place in places]

    return run


def perfsuite_binary_run(manifest: dict[str, Any], batch: int, threads: int) -> Run:
    """Return what answers a call on the kernels of perfsuite[binary], which is the engine here."""
    import msgspec  # which perfsuite needs

    from perfsuite.domain.runtime import Manifest, SessionOptions
    from perfsuite.runtimes.binary.runtime import PerfsuiteBinary

    known = msgspec.convert(manifest, Manifest)
    session = PerfsuiteBinary().open(ARTIFACT, known, SessionOptions(batch, threads))
    return lambda inputs: list(session.run(inputs))


# -- answers -------------------------------------------------------------------------------------


def judge(scores: np.ndarray, labels: np.ndarray | None) -> None:
    """Print the class of the highest score of each sample and, with labels, their top-1."""
    classes = scores.argmax(axis=1)
    for index, one in enumerate(classes):
        print(f"{index}: class {one}, score {scores[index, one]:.4g}")
    if labels is None:
        return
    told = labels.shape == classes.shape and np.isin(labels, np.arange(scores.shape[1])).all()
    if not told:
        sys.exit(
            f"the labels are {labels.dtype} {labels.shape}; one for each of {len(classes)} samples "
            f"was expected, integers from 0 to {scores.shape[1] - 1}"
        )
    right = int((classes == labels).sum())
    print(f"top-1: {right / len(labels):.2%} ({right} of {len(labels)})")


def collected(names: list[str], calls: list[tuple[int, list[np.ndarray]]]) -> Arrays:
    """Return each output of all samples as one array or, if it does not count them, of each call.

    The latter are `NAME/0`, `NAME/1` and so on, one for each call.
    """
    found: Arrays = {}
    for place, name in enumerate(names):
        parts = [(kept, outputs[place]) for kept, outputs in calls]
        joint = SETTINGS["any_batch"] or SETTINGS["top1"]
        if joint and all(part.ndim and len(part) == kept for kept, part in parts):
            found[name] = np.concatenate([part for _, part in parts])
        else:
            found.update({f"{name}/{number}": part for number, (_, part) in enumerate(parts)})
    return found


if __name__ == "__main__":
    main()
