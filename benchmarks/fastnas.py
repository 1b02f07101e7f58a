"""Pruning by NVIDIA ModelOpt's FastNAS, to be compared with perfsuite's own `prune`.

    passes = [{ use = "fastnas.py:FastNas", macs = 0.5, finetune = { ... } }]

FastNAS scores the net with each layer narrowed alone, and looks for the widths whose worst loss is
least at so many operations; here the score is the task's metric on some of its validation samples,
as there are some hundred narrowed nets. Layers of few channels need finer steps than the 32 that it
takes by default. Fine-tuned as `prune` is:
what differs is which channels go, and that the search takes its own time, which is in the edits.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
import numpy as np
from torch_pruning_readme import tune, widths_of

from perfsuite.domain.recipe import Edits, PassContext, Target
from perfsuite.domain.task import Inputs, Outputs
from perfsuite.errors import BuildError, Unavailable
from perfsuite.export.state import as_arrays
from perfsuite.measure.macs import count_module
from perfsuite.passes.prune.surgery import load
from perfsuite.runtimes.pytorch.runtime import run_module
from perfsuite.training.plan import AdamPlan, SgdPlan

if TYPE_CHECKING:
    from torch import nn

# Samples with which normalizations are fitted to each narrower net, and in how many batches: with
# fewer than it keeps, ModelOpt fits none.
_NORMALIZING, _BATCHES = 500, 50
_SLACK = 1.02  # FastNAS counts operations, biases and normalizations too


class FastNas(msgspec.Struct, frozen=True):
    """Takes channels out until at most the share `macs` of the operations stays.

    `divisor` is the step of widths, `scored` the number of validation samples that score a net.
    Trains by `finetune`, if given, with the whole net as the teacher.
    """

    macs: float
    divisor: int = 4
    scored: int = 1000
    finetune: SgdPlan | AdamPlan | None = None

    version: ClassVar[int] = 1
    runtimes: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        if not 0.0 < self.macs < 1.0:
            raise ValueError(f"macs is {self.macs}; it must be above 0 and below 1")

    def resolve(self, target: Target) -> str:
        """Return nothing: the validation samples decide."""
        return ""

    def fit(self, model: nn.Module, ctx: PassContext) -> Edits:
        """Return the seconds of the search, the widths left, and all tensors of the net.

        Raises `BuildError` where more multiply-accumulates are left than were asked for.
        """
        from perfsuite.passes.shared.invocation import copied

        whole = copied(model.eval())
        before = count_module(whole, ctx.inputs).macs
        started_s = time.monotonic()
        smaller = self._search(model, ctx)
        searched_s = time.monotonic() - started_s
        share = count_module(smaller, ctx.inputs).macs / before
        if share > self.macs * _SLACK:
            raise BuildError(f"FastNas: {share:.1%} of the multiply-accumulates are left")
        if self.finetune is not None:
            tune(smaller, whole, self.finetune, ctx)
        data = {"search_s": round(searched_s), "macs": share, "widths": widths_of(smaller)}
        return Edits(data, as_arrays(smaller))

    def rebuild(self, model: nn.Module, edits: Edits) -> nn.Module:
        """Return `model` with the shapes and the values of the edits' tensors."""
        load(model, edits.tensors)
        return model

    def _search(self, model: nn.Module, ctx: PassContext) -> nn.Module:
        """Return the narrower net."""
        import torch

        try:
            from modelopt.torch import prune as mtp
        except ImportError as error:
            raise Unavailable(
                f"FastNas: ModelOpt cannot be imported ({error}); pip install nvidia-modelopt, "
                f"into an environment of its own"
            ) from error

        def tensors(inputs: Inputs) -> tuple[torch.Tensor, ...]:
            return tuple(torch.from_numpy(array) for array in inputs.values())

        def score(net: nn.Module) -> float:
            answered = 0

            def predict(inputs: Inputs) -> Outputs:
                """Answer the first samples by the net; the others' rows are not looked at."""
                nonlocal answered
                size = len(next(iter(inputs.values())))
                answered += size
                if answered - size < self.scored:
                    return run_module(net, inputs)
                return [np.zeros((size, *one.shape[1:]), one.dtype) for one in shapes]

            return float(ctx.metric(ctx.validation(predict)[: self.scored]))

        def normalize(net: nn.Module) -> None:
            with torch.no_grad():
                for batch in batches:
                    net(*batch)

        shapes = run_module(model, ctx.inputs)
        given = list(ctx.calibration(_NORMALIZING))
        samples = {name: np.concatenate([one[name] for one in given]) for name in given[0]}
        split = {name: np.array_split(array, _BATCHES) for name, array in samples.items()}
        batches = [tensors({n: a[at] for n, a in split.items()}) for at in range(_BATCHES)]
        found: tuple[nn.Module, Any] = mtp.prune(
            model,
            mode=[("fastnas", self._rules(mtp))],
            constraints={"flops": f"{self.macs:.2%}"},
            dummy_input=tensors(ctx.inputs),
            config={
                "forward_loop": normalize,
                "score_func": score,
                "checkpoint": str(ctx.checkpoint.with_suffix(".fastnas.pth")),
                "verbose": False,
            },
        )
        return found[0].eval()

    def _rules(self, mtp: Any) -> Any:
        """Return FastNAS's own settings with other steps of widths."""
        rules = mtp.fastnas.FastNASConfig()
        for kind, name in (
            ("nn.Conv2d", "channel_divisor"),
            ("nn.Linear", "feature_divisor"),
            ("nn.BatchNorm2d", "feature_divisor"),
        ):
            rules[kind]["*"][name] = self.divisor
        return rules
