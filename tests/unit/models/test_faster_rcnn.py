"""The detector of fixed shapes: it keeps what torchvision keeps, in eager mode and on engines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from alike import assert_alike
from small_detector import SMALL, picture, small

from perfsuite.domain.model import InputSpec
from perfsuite.export.nodes import graph_nodes
from perfsuite.export.onnx import export_graph, load_graph
from perfsuite.export.parity import parity
from perfsuite.export.spans import spans
from perfsuite.models.faster_rcnn import STAGES
from perfsuite.models.untrained import heads_alone, settle

torch = pytest.importorskip("torch")
nn = torch.nn

PATHS = [path for stage in STAGES for path in stage.modules]
NAMES = ("boxes", "labels", "scores")


def steps(module: Any, image: Any) -> tuple[Any, Any, list[Any]]:
    """Return the batch, the features and the proposals of a picture."""
    batch, _ = module.transform(image)
    features = module.backbone(batch.tensors)
    return batch, features, module.rpn(batch, features)[0]


@torch.no_grad()
def test_the_proposals_are_torchvisions() -> None:
    from torchvision.models.detection.rpn import RegionProposalNetwork

    module = small()
    asked: list[Any] = []
    ours = module.rpn.filter_proposals
    module.rpn.filter_proposals = lambda *given: (asked.append(given), ours(*given))[1]
    for seed in range(3):
        _, _, (proposals,) = steps(module, picture(seed))
        (theirs,), (scores,) = RegionProposalNetwork.filter_proposals(module.rpn, *asked[-1])
        assert len(theirs) == len(proposals) == SMALL.proposals
        assert_alike(proposals, theirs)
        assert (scores > 0).all()


@torch.no_grad()
def test_fewer_candidates_of_each_level_are_the_best_ones() -> None:
    from torchvision.models.detection.rpn import RegionProposalNetwork

    module = small(sizes=msgspec.structs.replace(SMALL, candidates=4))
    asked: list[Any] = []
    ours = module.rpn.filter_proposals
    module.rpn.filter_proposals = lambda *given: (asked.append(given), ours(*given))[1]
    _, _, (proposals,) = steps(module, picture())
    (theirs,), _ = RegionProposalNetwork.filter_proposals(module.rpn, *asked[-1])
    assert 0 < len(theirs) <= 4 * len(SMALL.anchors) < len(proposals) == SMALL.proposals
    assert_alike(proposals[: len(theirs)], theirs)
    assert not proposals[len(theirs) :].any()


@torch.no_grad()
def test_too_few_proposals_are_filled_up_with_empty_boxes_that_detect_nothing() -> None:
    from torchvision.models.detection.rpn import RegionProposalNetwork

    module = small()
    module.rpn.nms_thresh = 0.01
    module.rpn._post_nms_top_n = {"testing": 90}
    asked: list[Any] = []
    ours = module.rpn.filter_proposals
    module.rpn.filter_proposals = lambda *given: (asked.append(given), ours(*given))[1]
    batch, features, (proposals,) = steps(module, picture())
    (theirs,), _ = RegionProposalNetwork.filter_proposals(module.rpn, *asked[-1])
    assert 0 < len(theirs) < 90 == len(proposals)
    assert_alike(proposals[: len(theirs)], theirs)
    assert not proposals[len(theirs) :].any()
    padded = module.roi_heads(features, [proposals], batch.image_sizes)[0][0]
    alone = module.roi_heads(features, [theirs], batch.image_sizes)[0][0]
    for name in NAMES:
        torch.testing.assert_close(padded[name], alone[name])


@torch.no_grad()
@pytest.mark.parametrize("least", [0.0, 0.05, 0.5, 1.0])
def test_the_detections_are_torchvisions(least: float) -> None:
    from torchvision.models.detection.roi_heads import RoIHeads

    module = small()
    heads = module.roi_heads
    heads.score_thresh = least
    for seed in range(3):
        batch, features, proposals = steps(module, picture(seed))
        pooled = heads.box_head(heads.box_roi_pool(features, proposals, batch.image_sizes))
        given = (*heads.box_predictor(pooled), proposals, batch.image_sizes)
        (boxes,), (scores,), (labels,) = heads.postprocess_detections(*given)
        ours = (boxes, scores, labels)
        theirs = [each[0] for each in RoIHeads.postprocess_detections(heads, *given)]
        count = len(theirs[1])
        for mine, wanted in zip(ours, theirs, strict=True):
            assert len(mine) == SMALL.detections
            torch.testing.assert_close(mine[:count], wanted)
            assert not mine[count:].any()
        assert (count == 0) == (least == 1.0)


@torch.no_grad()
def test_pictures_are_batched_as_torchvision_does() -> None:
    from torchvision.models.detection.transform import GeneralizedRCNNTransform

    images = [torch.rand(3, 40, 70), torch.rand(3, 40, 70)]
    theirs = GeneralizedRCNNTransform.batch_images(small().transform, images, 32)
    mine = small().transform.batch_images(images, 32)
    assert mine.shape == (2, 3, 64, 96)
    torch.testing.assert_close(mine, theirs, rtol=0, atol=0)


def test_a_batch_is_answered_as_its_pictures_are() -> None:
    module = small()
    both = module(torch.cat([picture(0), picture(1)]))
    for index in (0, 1):
        for mine, alone in zip(both, module(picture(index)), strict=True):
            torch.testing.assert_close(mine[index], alone[0])


def test_training_gives_torchvisions_losses() -> None:
    module = small().train()
    targets = [
        {"boxes": torch.tensor([[10.0, 10.0, 30.0, 40.0]]), "labels": torch.tensor([2])},
        {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)},
    ]
    losses = module(torch.cat([picture(0), picture(1)]), targets)
    assert sorted(losses) == [
        "loss_box_reg",
        "loss_classifier",
        "loss_objectness",
        "loss_rpn_box_reg",
    ]
    sum(losses.values()).backward()
    assert all(parameter.grad is not None for parameter in module.parameters())


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """Return a detector and its graph."""
    module, path = small(), tmp_path_factory.mktemp("graph") / "small.onnx"
    spec = (InputSpec("images", "float32", (1, 3, 48, 72)),)
    with spans(module, PATHS):
        export_graph(module, spec, {"images": picture().numpy()}, path)
    return module, path


def test_every_node_of_the_graph_belongs_to_a_stage(exported: Any) -> None:
    nodes = graph_nodes(load_graph(exported[1]))
    lost = [
        node.name
        for node in nodes
        if not any(node.path == path or node.path.startswith(f"{path}.") for path in PATHS)
    ]
    assert lost == []
    for path in PATHS:
        assert any(node.path == path or node.path.startswith(f"{path}.") for node in nodes), path


def on_onnxruntime(path: Path, image: np.ndarray) -> list[np.ndarray]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    answers: list[np.ndarray] = session.run(None, {"images": image})
    return answers


def on_openvino(path: Path, image: np.ndarray) -> list[np.ndarray]:
    openvino = pytest.importorskip("openvino")
    core = openvino.Core()
    core.set_property("CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    compiled = core.compile_model(core.read_model(str(path)), "CPU")
    answer = compiled({"images": image})
    return [np.array(answer[index]) for index in range(3)]


@pytest.mark.parametrize("engine", [on_onnxruntime, on_openvino])
@pytest.mark.parametrize("dark", [False, True])
def test_engines_answer_alike_with_detections_and_without(
    exported: Any, engine: Any, dark: bool
) -> None:
    module, path = exported
    image = torch.zeros(1, 3, 48, 72) if dark else picture(7)
    with torch.no_grad():
        expected = [value.numpy() for value in module(image)]
    answers = engine(path, image.numpy())
    parity(expected, answers, NAMES, "fp32")
    assert [value.shape for value in answers] == [(1, 12, 4), (1, 12), (1, 12)]
    assert not answers[2].any() if dark else answers[2].all()


@torch.no_grad()
def test_random_weights_settle_so_that_proposals_and_scores_differ() -> None:
    module = small()
    changed = settle(module, torch.cat([picture(0), picture(1)]))
    assert sorted(changed) == [
        "roi_heads.box_predictor.cls_score.bias",
        "roi_heads.box_predictor.cls_score.weight",
        "rpn.head.cls_logits.bias",
        "rpn.head.cls_logits.weight",
    ]  # this backbone has no norms
    seen: list[Any] = []
    hook = module.roi_heads.box_predictor.cls_score.register_forward_hook(
        lambda *given: seen.append(given[2])
    )
    module(picture(0))
    hook.remove()
    assert float(seen[0].std()) == pytest.approx(2.0, rel=1e-3)
    assert not any(part.training for part in module.modules())


@torch.no_grad()
def test_norms_settle_on_the_pictures_they_are_shown() -> None:
    module = small()
    norm = nn.BatchNorm2d(8)
    module.backbone.body["stem"].add_module("norm", norm)
    changed = settle(module, torch.cat([picture(0), picture(1)]))
    batch, _ = module.transform(torch.cat([picture(0), picture(1)]))
    normed = module.backbone.body["stem"](batch.tensors)
    assert normed.mean((0, 2, 3)).abs().max() < 1e-4
    assert normed.std((0, 2, 3)).sub(1).abs().max() < 0.05
    assert torch.equal(changed["backbone.body.stem.norm.running_mean"], norm.running_mean)


@torch.no_grad()
def test_heads_are_those_of_the_detector() -> None:
    module = small()
    batch, features, (proposals,) = steps(module, picture())
    objectness, deltas, logits, moves = heads_alone(module)(picture(), proposals)
    raw = module.rpn.head(list(features.values()))
    assert objectness.shape[1] == sum(level.numel() for level in raw[0])
    assert deltas.shape[1] == 4 * objectness.shape[1]
    heads = module.roi_heads
    pooled = heads.box_head(heads.box_roi_pool(features, [proposals], batch.image_sizes))
    torch.testing.assert_close(logits, heads.box_predictor(pooled)[0])
    assert moves.shape == (SMALL.proposals, 16)
