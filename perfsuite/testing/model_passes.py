"""The contract of model passes: edits alone rebuild the same module, in any process."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from perfsuite.domain.recipe import Edits, Target
from perfsuite.domain.task import Inputs, Outputs
from perfsuite.domain.workload import Workload
from perfsuite.errors import BuildError, Unsupported
from perfsuite.export.onnx import export_fixed
from perfsuite.runner.build.edits import read_edits, write_edits
from perfsuite.runner.build.reference import check_export, module_outputs
from perfsuite.testing.elsewhere import elsewhere
from perfsuite.testing.samples import check_like, context, require

if TYPE_CHECKING:
    from torch import nn

ANSWERS, STATE = "answers.npz", "state.json"


def check_model_pass(
    who: str, pass_: Any, workload: Workload, target: Target, folder: Path
) -> None:
    """Raise `AssertionError` unless a model pass meets the contract on the model of `workload`.

    It is fitted twice, with scripted times, and its edits are read back from disk. From these the
    module is rebuilt twice here, and once in a process that was started before the fit. All three
    must have the same tensors and answers, and the answers must have the shapes of the model's own
    and be finite. The module must share no memory with other modules, and export if the model does.
    Edits without one of their tensors must be refused. What `fit` raises is raised.
    """
    build = workload.model.build
    if build is None:
        raise AssertionError(f"{who}: a model pass needs a torch module, not an ONNX file")
    only = workload.model.batch
    inputs = [workload.task.inputs(only or batch, batch) for batch in (1, 3)]
    trial = _Trial(who, pass_, build, inputs, folder)
    with _quiet_torch(), elsewhere(trial.write) as rebuild_elsewhere:
        untouched = build().eval()
        expected = [module_outputs(untouched, each) for each in inputs]
        fitted = [build().eval(), build().eval()]
        edits = trial.fitted(fitted[0], workload, target)
        _check_again(who, edits, trial.fitted(fitted[1], workload, target, again=True))
        first, second = trial.rebuilt(1), trial.rebuilt(2)
        answers = [module_outputs(first, each) for each in inputs]
        for answered, wanted in zip(answers, expected, strict=True):
            check_like(f"{who}: the rebuilt module", answered, wanted)
        for module in fitted:
            _check_own(who, first, module, untouched, "a module that was fitted")
        _check_own(who, first, second, untouched, "another rebuilt module")
        _check_twin(who, answers, [module_outputs(second, each) for each in inputs])
        trial.check_written(first, answers, rebuild_elsewhere())
        require(
            _alike(expected, [module_outputs(untouched, each) for each in inputs]),
            f"{who}: a module of the model that the pass was never given answers otherwise after "
            f"it; change the given module alone, no class and nothing global",
        )
        _check_export(who, first, untouched, workload, folder)
        trial.check_strict(edits)


@dataclass(frozen=True)
class _Trial:
    """One pass on one model; its edits lie in `folder`."""

    who: str
    pass_: Any
    build: Callable[[], nn.Module]
    inputs: list[Inputs]
    folder: Path

    def fitted(
        self, module: nn.Module, workload: Workload, target: Target, again: bool = False
    ) -> Edits:
        """Return the edits of a fit; those of the first fit are written to disk."""
        import torch

        pass_ = self.pass_
        if again:
            torch.manual_seed(11)
            pass_ = msgspec.json.decode(msgspec.json.encode(pass_), type=type(pass_))
        place = self.folder / ("again" if again else "once")
        place.mkdir()
        edits = pass_.fit(module, context(workload, target, place))
        require(
            isinstance(edits, Edits),
            f"{self.who}: fit must return perfsuite.Edits(data, tensors), not "
            f"{type(edits).__name__}",
        )
        return edits if again else _stored(self.who, edits, self.folder)

    def rebuilt(self, seed: int) -> nn.Module:
        """Return the module rebuilt from stored edits, with torch's generator set to `seed`."""
        import torch

        torch.manual_seed(seed)
        try:
            module = self.pass_.rebuild(self.build().eval(), read_edits(self.folder))
        except Unsupported as error:
            raise AssertionError(
                f"{self.who}: rebuild refuses what fit has found ({error}); refuse it in fit"
            ) from error
        require(
            isinstance(module, torch.nn.Module),
            f"{self.who}: rebuild must return the module, not {type(module).__name__}",
        )
        evaluated: nn.Module = module.eval()
        return evaluated

    def write(self) -> None:
        """Write the state and the answers of a rebuilt module, for `check_written`."""
        module = self.rebuilt(3)
        (self.folder / STATE).write_bytes(msgspec.json.encode(_digests(module)))
        outputs = [output for each in self.inputs for output in module_outputs(module, each)]
        np.savez(self.folder / ANSWERS, *outputs)

    def check_written(self, module: nn.Module, answers: list[Outputs], failure: str) -> None:
        """Raise unless `write`, in another process, has written the state of `module`."""
        advice = "put everything that rebuild needs into the edits"
        require(
            not failure,
            f"{self.who}: a process that has not seen fit cannot rebuild ({failure}); {advice}",
        )
        there = msgspec.json.decode((self.folder / STATE).read_bytes(), type=dict[str, str])
        here = _digests(module)
        wrong = [name for name in {**here, **there} if here.get(name) != there.get(name)]
        with np.load(self.folder / ANSWERS) as stored:
            told = list(stored.values())
        same = _alike([told], [[output for each in answers for output in each]])
        require(
            not wrong and same,
            f"{self.who}: rebuilt in a process that has not seen fit, the module has "
            f"{f'another {wrong[0]}' if wrong else 'other answers'}; {advice}",
        )

    def check_strict(self, edits: Edits) -> None:
        """Raise if edits without their largest tensor are accepted."""
        if not edits.tensors:
            return
        lost = max(edits.tensors, key=lambda name: edits.tensors[name].nbytes)
        rest = {name: array for name, array in edits.tensors.items() if name != lost}
        try:
            self.pass_.rebuild(self.build().eval(), Edits(edits.data, rest))
        except Exception:  # noqa: BLE001 - whatever a pass raises, it has noticed
            return
        raise AssertionError(
            f"{self.who}: rebuild takes edits without the tensor '{lost}' for whole; load them "
            f"strictly, as load_state_dict(..., strict=True) does"
        )


@contextmanager
def _quiet_torch() -> Iterator[None]:
    """Let torch use one thread, so that sums are reproducible, and restore its generator."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        torch.set_num_threads(threads)


def _stored(who: str, edits: Edits, folder: Path) -> Edits:
    """Return the edits after writing and reading them."""
    try:
        write_edits(folder, edits)
        stored = read_edits(folder)
    except Exception as error:
        raise AssertionError(
            f"{who}: its edits cannot be stored ({type(error).__name__}: {error}); data takes JSON "
            f"values, tensors takes NumPy arrays by name"
        ) from error
    require(
        stored.data == edits.data,
        f"{who}: JSON gives back the data {stored.data!r} for {edits.data!r}; use lists, and texts "
        f"as keys",
    )
    require(
        _unlike(stored, edits) == "",
        f"{who}: safetensors gives back other tensors; use finite NumPy arrays",
    )
    return stored


def _unlike(one: Edits, other: Edits) -> str:
    """Return the name of a tensor that differs; '' if none does."""
    for name in {**one.tensors, **other.tensors}:
        a, b = one.tensors.get(name), other.tensors.get(name)
        if a is None or b is None or a.dtype != b.dtype or not np.array_equal(a, b):
            return name
    return ""


def _check_again(who: str, edits: Edits, again: Edits) -> None:
    name = _unlike(edits, again)
    require(
        edits.data == again.data and name == "",
        f"{who}: fit gives {f'another {name}' if name else 'other data'} the second time, by the "
        f"same clock and samples; seed what is drawn, and iterate over nothing unordered",
    )


def _check_own(
    who: str, module: nn.Module, other: nn.Module, untouched: nn.Module, whose: str
) -> None:
    """Raise if `module` shares memory with `other` that is not shared with the model itself."""
    theirs = _memory(other).keys() - _memory(untouched).keys()
    shared = [name for place, name in _memory(module).items() if place in theirs]
    require(
        not shared,
        f"{who}: rebuild gives a module whose '{', '.join(shared[:1])}' is that of {whose}; change "
        f"the module that it is given, and copy the edits' tensors into it",
    )


def _memory(module: nn.Module) -> dict[int, str]:
    tensors = [*module.named_parameters(), *module.named_buffers()]
    return {t.untyped_storage().data_ptr(): name for name, t in tensors if t.numel()}


def _check_twin(who: str, answers: list[Outputs], others: list[Outputs]) -> None:
    require(
        _alike(answers, others),
        f"{who}: two rebuilds from the same edits answer differently; put everything that was "
        f"drawn or trained into Edits.tensors",
    )


def _alike(one: list[Outputs], other: list[Outputs]) -> bool:
    return all(
        np.array_equal(a, b)
        for ours, theirs in zip(one, other, strict=True)
        for a, b in zip(ours, theirs, strict=True)
    )


def _digests(module: nn.Module) -> dict[str, str]:
    """Return dtype, shape and a hash of each tensor of the module's state."""
    return {
        name: f"{tensor.dtype} {tuple(tensor.shape)} "
        + hashlib.sha256(tensor.detach().cpu().contiguous().numpy().tobytes()).hexdigest()
        for name, tensor in module.state_dict().items()
    }


def _check_export(
    who: str, module: nn.Module, untouched: nn.Module, workload: Workload, folder: Path
) -> None:
    """Raise unless the module exports to a graph that answers alike, if the model itself does."""
    only, graph = workload.model.batch or 1, folder / "graph.onnx"
    samples = [workload.task.inputs(only, seed) for seed in range(2)]
    try:
        export_fixed(module, samples[0], graph)
        check_export(module, graph, samples, workload.task)
    except (BuildError, Unsupported) as error:
        try:
            export_fixed(untouched, samples[0], graph)
            check_export(untouched, graph, samples, workload.task)
        except (BuildError, Unsupported):
            return  # its stages' modules are exported one by one
        raise AssertionError(
            f"{who}: the rebuilt module does not export as the model does: {error}"
        ) from error
