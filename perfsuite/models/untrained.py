"""Detectors with random weights, adjusted to behave like trained ones and to be comparable."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import nn

SPREAD = 2.0  # deviation of the class logits: enough proposals then score above 0.05


def settle(module: Any, images: torch.Tensor) -> dict[str, torch.Tensor]:
    """Adjust a detector with random weights, and return the tensors that were changed, by name.

    Norms get the statistics of `images`. The scores are scaled to a deviation of 1 (objectness) and
    `SPREAD` (classes), so that proposals differ and enough of them become detections.
    """
    import torch
    from torch import nn

    norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]
    heads = {
        "rpn.head.cls_logits": (module.rpn.head.cls_logits, 1.0),
        "roi_heads.box_predictor.cls_score": (module.roi_heads.box_predictor.cls_score, SPREAD),
    }
    with torch.no_grad():
        for norm in norms:
            norm.momentum = None  # the mean over all batches, of which there is one
            norm.train()
        batch, _ = module.transform(images)
        module.backbone(batch.tensors)
        for norm in norms:  # as they are after loading the returned tensors
            if norm.num_batches_tracked is not None:
                norm.num_batches_tracked.zero_()
        module.eval()
        for head, spread in heads.values():
            seen: list[torch.Tensor] = []
            hook = head.register_forward_hook(lambda *given, seen=seen: seen.append(given[2]))
            module(images[:1])
            hook.remove()
            logits = torch.cat([value.flatten() for value in seen])
            head.weight.mul_(spread / logits.std())
            head.bias.zero_()
    found = {
        f"{name}.{key}": v
        for name, (head, _) in heads.items()
        for key, v in head.state_dict().items()
    }
    return found | {
        name: value for name, value in module.state_dict().items() if "running_" in name
    }


def heads_alone(module: Any) -> nn.Module:
    """Return a module from pictures and given proposals (n, 4) to the raw outputs of the heads.

    It returns objectness (N, anchors), deltas (N, anchors * 4), class logits (n, classes + 1) and
    box deltas (n, (classes + 1) * 4). With random weights many boxes have nearly the same score, so
    rounding decides which is kept: detections of engines differ even where these outputs agree.
    """
    return _heads()(module).eval()  # type: ignore[no-any-return]


@cache
def _heads() -> Any:
    import torch
    from torch import nn

    class Heads(nn.Module):
        def __init__(self, module: Any) -> None:
            super().__init__()
            self.transform, self.backbone = module.transform, module.backbone
            self.rpn, self.roi_heads = module.rpn, module.roi_heads

        def forward(self, images: Any, proposals: Any) -> tuple[Any, ...]:
            batch, _ = self.transform(images)
            features = self.backbone(batch.tensors)
            raw = self.rpn.head(list(features.values()))
            objectness, deltas = (
                torch.cat([level.flatten(1) for level in levels], dim=1) for levels in raw
            )
            given = [proposals] * len(images)
            pooled = self.roi_heads.box_roi_pool(features, given, batch.image_sizes)
            found = self.roi_heads.box_predictor(self.roi_heads.box_head(pooled))
            return objectness, deltas, *found

    return Heads
