"""Fewer proposals: what a detector chooses from before non-maximum suppression, and keeps after."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from perfsuite.domain.recipe import Edits, PassContext, Target
from perfsuite.errors import BuildError, ConfigError, Unsupported

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class _Limit:
    """One of a module's numbers: how it is read and set, and the words for it."""

    words: str
    read: Callable[[Any], Any]
    write: Callable[[Any, int], None]


def _of_testing(attribute: str, words: str) -> _Limit:
    """Return the number that torchvision's RPN has for testing; that for training stays."""

    def read(module: Any) -> Any:
        kept = getattr(module, attribute, None)
        return kept.get("testing") if isinstance(kept, dict) else None

    def write(module: Any, number: int) -> None:
        setattr(module, attribute, {**getattr(module, attribute), "testing": number})

    return _Limit(words, read, write)


# Of torchvision's two-stage detectors, and of RetinaNet, FCOS and SSD; the first that a module has.
_LIMITS: dict[str, tuple[_Limit, ...]] = {
    "pre_nms": (
        _of_testing("_pre_nms_top_n", "candidates before NMS"),
        _Limit(
            "candidates before NMS",
            lambda module: getattr(module, "topk_candidates", None),
            lambda module, number: setattr(module, "topk_candidates", number),
        ),
    ),
    "post_nms": (_of_testing("_post_nms_top_n", "proposals after NMS"),),
}


class Proposals(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Lets a detector choose from fewer boxes: what sorting and suppressing them takes, it saves.

    `pre_nms` is how many boxes of each level, the best by their scores, come to non-maximum
    suppression: torchvision's `rpn_pre_nms_top_n_test` of two-stage detectors (Ren et al. 2015,
    arXiv:1506.01497), `topk_candidates` of RetinaNet, FCOS and SSD. `post_nms` is how many of them
    the second stage looks at: `rpn_post_nms_top_n_test`. At least one of both is given. No weight
    changes, and a training goes on with the numbers that it had.
    """

    pre_nms: int | None = None
    post_nms: int | None = None

    version: ClassVar[int] = 1
    profiled_with: ClassVar[Mapping[str, Any]] = {"pre_nms": 300}

    def __post_init__(self) -> None:
        given = self._given()
        if not given:
            raise ValueError("say pre_nms, post_nms, or both: how many boxes to choose from")
        for name, number in given.items():
            if number < 1:
                raise ValueError(f"{name} is {number}; at least 1 box must be left")

    def resolve(self, target: Target) -> str:
        """Return '': nothing of the target changes the result."""
        return ""

    def fit(self, model: nn.Module, ctx: PassContext) -> Edits:
        """Return what changes: `data` is `{"limits": {path: {field: number}}, "labels": [...]}`.

        Raises `Unsupported` for a model without such a number, and where none gets smaller;
        `ConfigError` for `post_nms` of a detector that has one stage.
        """
        found = {name: list(_limits(model, name)) for name in self._given()}
        who = f"proposals on {type(model).__name__}"
        if not any(found.values()):
            raise Unsupported(
                f"{who}: no module of it chooses boxes by their scores before non-maximum "
                f"suppression, as torchvision's detectors do"
            )
        for name, sites in found.items():
            if not sites:
                raise ConfigError(f"{who}: it has one stage, and so no {name}; leave it out")
        limits: dict[str, dict[str, int]] = {}
        labels, already = [], []
        for name, number in self._given().items():
            for path, limit, now in found[name]:
                place = path or "the model itself"
                if now <= number:
                    already.append(f"{place} has {now} {limit.words}")
                    continue
                limits.setdefault(path, {})[name] = number
                labels.append(f"{number} {limit.words} instead of {now}")
        if not limits:
            raise Unsupported(f"{who}: {', '.join(already)}; ask for fewer")
        return Edits({"limits": limits, "labels": list(dict.fromkeys(labels))})

    def rebuild(self, model: nn.Module, edits: Edits) -> nn.Module:
        """Return `model`, freshly built, with fewer boxes to choose from."""
        for path, numbers in edits.data["limits"].items():
            for name, number in numbers.items():
                sites = {place: limit for place, limit, _ in _limits(model, name)}
                if path not in sites:
                    raise BuildError(
                        f"proposals: {type(model).__name__} has no module '{path}' with {name}; "
                        f"these edits are of another model"
                    )
                sites[path].write(model.get_submodule(path), number)
        return model

    def _given(self) -> dict[str, int]:
        fields = {"pre_nms": self.pre_nms, "post_nms": self.post_nms}
        return {name: number for name, number in fields.items() if number is not None}


def boxes_before_nms(model: nn.Module) -> int:
    """Return from how many boxes a level `model` chooses at most; 0 if it is no such detector."""
    return max((now for _, _, now in _limits(model, "pre_nms")), default=0)


def _limits(model: nn.Module, field: str) -> Iterator[tuple[str, _Limit, int]]:
    """Yield the path, the limit and the present number of each module that has one."""
    for path, module in model.named_modules():
        for limit in _LIMITS[field]:
            now = limit.read(module)
            if isinstance(now, int):
                yield path, limit, now
                break
