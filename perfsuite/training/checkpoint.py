"""The state of a training on disk: written after each epoch, loaded to go on after a stop."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec

from perfsuite.errors import ConfigError
from perfsuite.store.disk import writable, write_whole
from perfsuite.store.room import room_for
from perfsuite.training.averaging import WeightAverage
from perfsuite.training.plan import AdamPlan, SgdPlan
from perfsuite.training.steps import Training

_ANEW = "delete it to start anew"
_STORED = {"plan", "epochs", "losses", "module", "optimizer", "mean"}


def save(
    path: Path,
    training: Training,
    epochs: int,
    losses: dict[str, Any],
    mean: WeightAverage | None = None,
) -> None:
    """Write the state after `epochs` epochs beside its place and rename it.

    Whatever goes wrong, the file of before stays whole. Raises `ConfigError` for a folder that
    cannot be written, `PerfsuiteError` for a full disk.
    """
    import torch

    state = {
        "plan": msgspec.json.encode(training.plan).decode(),
        "epochs": epochs,
        "losses": losses,
        "module": training.module.state_dict(),
        "optimizer": training.optimizer.state_dict(),
        "mean": mean.state() if mean is not None else None,
    }
    if training.lesson is not None:
        state["lesson"] = training.lesson.state_dict()
    content = BytesIO()  # torch would hide that a disk is full behind an error of its own
    torch.save(state, content)
    writable(path.parent)
    with room_for(path):
        write_whole(path, content.getbuffer())


def restore(
    path: Path | None, training: Training, mean: WeightAverage | None = None
) -> tuple[int, dict[str, Any] | None]:
    """Load the checkpoint if there is one; return the epochs done and the losses of their steps.

    Raises `ConfigError` for a file that is torn, or that belongs to another plan or another net.
    """
    if path is None or not path.exists():
        return 0, None
    state = _read(path)
    if _plan_of(state["plan"]) != training.plan:
        raise ConfigError(f"{path}: a checkpoint of another plan; {_ANEW}")
    try:
        training.module.load_state_dict(state["module"])
        training.optimizer.load_state_dict(state["optimizer"])
        if training.lesson is not None:
            training.lesson.load_state_dict(state.get("lesson", {}))
        if mean is not None:
            mean.load(state["mean"])
    except (RuntimeError, ValueError) as error:
        first = " ".join(str(error).split("\n")[:2])  # torch's message has a line for each layer
        raise ConfigError(f"{path}: a checkpoint of another net; {_ANEW} ({first})") from error
    return int(state["epochs"]), state["losses"]


def _read(path: Path) -> dict[str, Any]:
    import torch

    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        state = torch.load(BytesIO(content), weights_only=True, map_location="cpu")
    except Exception as error:  # what torch raises depends on where the file is torn
        raise ConfigError(f"{path}: a torn checkpoint, or none at all; {_ANEW}") from error
    if not isinstance(state, dict) or not state.keys() >= _STORED:
        raise ConfigError(f"{path}: no checkpoint of a training; {_ANEW}")
    return state


def _plan_of(text: str) -> SgdPlan | None:
    """Return the plan stored in a checkpoint; None for a text that is no plan."""
    try:
        return msgspec.json.decode(text, type=SgdPlan | AdamPlan)
    except msgspec.MsgspecError:
        return None
