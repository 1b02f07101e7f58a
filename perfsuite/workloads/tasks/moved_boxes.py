"""Training pictures of detectors, changed at random with the boxes in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

ZOOM = (0.75, 1.25)
LEFT = 0.4  # the share of a box's area that must stay in a picture, or it is dropped


def marked(boxes: torch.Tensor) -> list[dict[str, torch.Tensor]]:
    """Return torchvision's targets of pictures with boxes (N, most, 5), label and corners.

    Those with the label 0 are none.
    """
    return [
        {"boxes": marks[marks[:, 0] > 0, 1:], "labels": marks[marks[:, 0] > 0, 0].long()}
        for marks in boxes
    ]


def mirrored_and_zoomed(
    images: torch.Tensor, boxes: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return NCHW pictures, mirrored along both axes, zoomed and moved at random, and their boxes.

    `boxes` (N, most, 5) are label and corners in pixels. The label becomes 0 if less than `LEFT` of
    the box's area is still in the picture.
    """
    import torch

    count, _, height, width = images.shape
    device = images.device
    zoom = torch.empty(count, 1, device=device).uniform_(*ZOOM)
    factor = zoom * (torch.randint(0, 2, (count, 2), device=device) * 2 - 1)  # along x and y
    move = torch.empty(count, 2, device=device).uniform_(-1, 1) * (1 - zoom).abs()
    # From positions in the new picture to those in the old one, both from -1 to 1.
    matrix = torch.cat([torch.diag_embed(factor), move[..., None]], dim=2)
    grid = torch.nn.functional.affine_grid(matrix, list(images.shape), align_corners=False)
    images = torch.nn.functional.grid_sample(images, grid, align_corners=False)

    size = torch.tensor([width, height], dtype=boxes.dtype, device=device)
    corners = boxes[..., 1:].reshape(count, -1, 2, 2) / size * 2 - 1
    corners = (corners - move[:, None, None]) / factor[:, None, None]
    corners = corners.sort(dim=2).values
    inside = corners.clamp(-1, 1)
    area, left = (part.diff(dim=2).prod(dim=-1).squeeze(2) for part in (corners, inside))
    labels = torch.where(left > LEFT * area, boxes[..., 0], 0.0)
    moved = ((inside + 1) / 2 * size).reshape(count, -1, 4)
    return images, torch.cat([labels[..., None], moved], dim=2)
