"""Train the weights that ship: `python -m perfsuite.workloads.zoo.train NAME`.

If it was killed, it goes on after the last whole epoch. At the end it writes the weights and their
model card, with the accuracy of the half-precision weights as they are loaded.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from perfsuite.domain.task import Inputs, Outputs, Task, members
from perfsuite.domain.workload import Workload
from perfsuite.store.places import home
from perfsuite.training.loop import SgdPlan, TrainingProgress, train
from perfsuite.workloads.zoo import (
    captions,
    cifar10,
    devise,
    digits,
    faster_rcnn,
    vehicle_type,
    weights,
    whale_id,
)

if TYPE_CHECKING:
    from torch import nn


def _vgg16() -> nn.Module:
    from perfsuite.models.vgg import vgg16

    return vgg16()


def _shufflenet() -> nn.Module:
    from perfsuite.models.shufflenet import shufflenet_v2_x1_0

    return shufflenet_v2_x1_0()


# By workload: the net without weights, the workload, and the training plan.
RECIPES: dict[str, tuple[Callable[[], nn.Module], Callable[[], Workload], SgdPlan]] = {
    "devise": (devise.net, devise.devise, devise.PLAN),
    "faster-rcnn-shufflenet": (
        faster_rcnn.shufflenet_net,
        faster_rcnn.faster_rcnn_shufflenet,
        faster_rcnn.SHUFFLENET_PLAN,
    ),
    "show-attend-tell": (captions.net, captions.show_attend_tell, captions.PLAN),
    "vgg16-cifar10": (
        _vgg16,
        cifar10.vgg16,
        SgdPlan(
            epochs=41,
            sizes=((0, 16), (5, 24), (10, 32)),
            restarts=((16, 0.05), (26, 0.1)),
            cutouts=((26, 8),),
        ),
    ),
    "shufflenet-cifar10": (
        _shufflenet,
        cifar10.shufflenet,
        SgdPlan(
            epochs=18,
            batch=64,
            peak_rate=0.05,
            sizes=((0, 16), (4, 24), (9, 32)),
            restarts=((14, 0.03),),
            bf16=False,
        ),
    ),
    "vehicle-type": (vehicle_type.net, vehicle_type.vehicle_type, vehicle_type.PLAN),
    "whale-id": (whale_id.net, whale_id.whale_id, whale_id.PLAN),
    "whale-id-plain": (whale_id.plain_net, whale_id.whale_id_plain, whale_id.PLAIN_PLAN),
    "vgg-digits": (digits.net, digits.vgg_digits, SgdPlan(epochs=40, batch=64, bf16=False)),
}


@click.command()
@click.argument("name", type=click.Choice(sorted(RECIPES)))
@click.option(
    "--checkpoints",
    type=click.Path(path_type=Path),
    default=lambda: home() / "checkpoints",
    help="Where the state after each epoch is kept; by default in PERFSUITE_HOME.",
)
def main(name: str, checkpoints: Path) -> None:
    """Train NAME, write its weights and its model card.

    Example: python -m perfsuite.workloads.zoo.train vgg-digits
    """
    import torch

    net, workload, plan = RECIPES[name]
    torch.manual_seed(plan.seed)  # the initial weights too
    module = net()
    task = workload().task
    data = task.train()
    with _bar(name, plan) as report:
        train(module, data, plan, checkpoint=checkpoints / f"{name}.pt", report=report)
    path = weights.FOLDER / f"{name}.safetensors"
    card = path.with_suffix(".md")
    weights.save(module, path)
    # The card has the hash that loading checks; the accuracy is measured and written afterwards.
    unknown = dict.fromkeys(task.metrics(), "not measured yet")
    card.write_text(_card(name, plan, task, unknown, path, len(data.inputs)))
    scores = _scores(workload())
    card.write_text(_card(name, plan, task, scores, path, len(data.inputs)))
    said = ", ".join(f"{metric} {score}" for metric, score in scores.items())
    click.echo(f"{name}: {said}; wrote {path.name}")


@contextmanager
def _bar(name: str, plan: SgdPlan) -> Iterator[Callable[[TrainingProgress], None]]:
    """Yield a function that updates a progress bar with the loss and the time left."""
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Bar(*columns) as bar:
        task = bar.add_task(name, total=plan.epochs)

        def report(at: TrainingProgress) -> None:
            text = f"{name}: epoch {at.epoch + 1}/{plan.epochs}, loss {at.loss:.3f}"
            bar.update(task, completed=at.epoch + at.step / at.steps, description=text)

        yield report


def _scores(workload: Workload) -> dict[str, str]:
    """Return what the workload's net scores by each of its metrics, in words."""
    import torch

    build = workload.model.build
    if build is None:
        raise TypeError(f"{workload.name} has no torch module")
    module = build()

    def predict(inputs: Inputs) -> Outputs:
        with torch.inference_mode():
            answer = module(*(torch.from_numpy(value) for value in inputs.values()))
        parts = answer if isinstance(answer, tuple) else (answer,)
        return [part.numpy() for part in parts]

    rows = workload.task.rows(predict)
    return {
        metric_name: f"{metric(rows):.2%} of {len(members(metric, rows)):,} test pictures"
        for metric_name, metric in workload.task.metrics().items()
    }


def _card(
    name: str, plan: SgdPlan, task: Task, scores: dict[str, str], path: Path, samples: int
) -> str:
    import torch

    fields = "\n".join(f"| {field} | {getattr(plan, field)} |" for field in plan.__struct_fields__)
    measured = "\n".join(
        f"| {', '.join((metric, *task.labels))}, measured on these weights as loaded, in float32 "
        f"| {score} |"
        for metric, score in scores.items()
    )
    return f"""# {name}

Weights in half precision ({path.stat().st_size:,} bytes), trained from the labels.

| | |
|---|---|
{measured}
{weights.card_line(path)}
| training pictures | {samples:,}; the held-out calibration pictures and the test set not seen |
| command | `python -m perfsuite.workloads.zoo.train {name}` |
{fields}
| torch | {torch.__version__} on {platform.machine()} |
"""


if __name__ == "__main__":
    main()
