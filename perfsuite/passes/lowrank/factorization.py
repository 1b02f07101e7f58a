"""Weights as products of smaller ones: truncated SVD, Tucker-2 and CP. NumPy only, in float64.

Energy is the square of the Frobenius norm, the sum of squared singular values. Bases are computed
as eigenvectors of Gram matrices, whose size is the number of channels, whatever the kernel's.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_ROUNDS_HOOI = 3  # nearly all of the gain comes from the first
# Relative to the mean eigenvalue. Without it, components that cancel each other grow without bound.
_RIDGE = 1e-9
_SETTLED = 1e-5  # the relative change of the lost energy that ends alternating least squares


class Cp(NamedTuple):
    """The factors of weight[o, i, h, w] = sum over r of restore[o, r] * reduce[r, i] *
    vertical[r, h] * horizontal[r, w].

    `lost` is the share of the energy that they miss.
    """

    reduce: np.ndarray
    vertical: np.ndarray
    horizontal: np.ndarray
    restore: np.ndarray
    lost: float


def spectrum(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the squared singular values (m,), falling, and the left singular vectors (m, m).

    `matrix` is (m, n); values beyond its rank are zero. The vectors are columns.
    """
    matrix = matrix.astype(np.float64, copy=False)
    values, vectors = np.linalg.eigh(matrix @ matrix.T)
    return np.maximum(values[::-1], 0.0), vectors[:, ::-1]


def rank_for(energies: np.ndarray, share: float) -> int:
    """Return the smallest rank that keeps at least `share` of the sum of `energies` (falling)."""
    kept = np.cumsum(energies)
    # The tolerance lets a share count as kept whatever the rounding of the sums.
    reached = kept >= share * kept[-1] * (1 - 1e-12)
    return int(np.argmax(reached)) + 1


def unfold(weight: np.ndarray, axis: int) -> np.ndarray:
    """Return `weight` as a matrix whose rows are its slices along `axis`."""
    return np.moveaxis(weight, axis, 0).reshape(weight.shape[axis], -1)


def low_rank(matrix: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """Return restore (m, rank) and reduce (rank, n), whose product is nearest to `matrix`.

    It is the truncated SVD (Eckart and Young 1936). Each factor is scaled by the square root of the
    singular values, so that both have gradients of the same size in training.
    """
    if matrix.shape[0] > matrix.shape[1]:
        restore, reduce = low_rank(matrix.T, rank)
        return reduce.T, restore.T
    values, vectors = spectrum(matrix)
    basis, roots = vectors[:, :rank], values[:rank] ** 0.25
    scale = np.where(roots > 0, roots, 1.0)
    return basis * scale, (basis.T @ matrix) / scale[:, None]


def lost_by_rank(matrix: np.ndarray) -> np.ndarray:
    """Return the share of the energy that the best approximation misses, by rank from 0."""
    narrow = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    return _lost(np.cumsum(spectrum(narrow)[0]))


def tucker2(
    weight: np.ndarray, ranks: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return reduce (ri, in), core (ro, ri, h, w) and restore (out, ro) of weight (out, in, h, w).

    `ranks` is (ro, ri). It is the truncated higher-order SVD (Kim et al. 2016, arXiv:1511.06530),
    improved by a few rounds of higher-order orthogonal iteration (De Lathauwer et al. 2000).
    """
    weight = weight.astype(np.float64, copy=False)
    restore = spectrum(unfold(weight, 0))[1][:, : ranks[0]]
    reduce = spectrum(unfold(weight, 1))[1][:, : ranks[1]].T
    if ranks != weight.shape[:2]:
        for _ in range(_ROUNDS_HOOI):
            restore = spectrum(unfold(_projected(weight, reduce, 1), 0))[1][:, : ranks[0]]
            reduce = spectrum(unfold(_projected(weight, restore.T, 0), 1))[1][:, : ranks[1]].T
    core = _projected(_projected(weight, restore.T, 0), reduce, 1)
    return reduce, core, restore


def lost_by_ranks(weight: np.ndarray) -> np.ndarray:
    """Return the share of the energy that the truncated higher-order SVD misses.

    The result has the shape (out + 1, in + 1), by both ranks from 0.
    """
    weight = weight.astype(np.float64, copy=False)
    bases = [spectrum(unfold(weight, axis))[1] for axis in (0, 1)]
    core = _projected(_projected(weight, bases[0].T, 0), bases[1].T, 1)
    kept = (core**2).sum(axis=(2, 3)).cumsum(axis=0).cumsum(axis=1)
    return _lost(kept)


def cp(weight: np.ndarray, rank: int, rounds: int = 50) -> Cp:
    """Return the rank-`rank` CP decomposition of weight (out, in, h, w).

    Lebedev et al. 2015, arXiv:1412.6553, by alternating least squares from a seeded start, at most
    `rounds` of them. The four factors of each component end up with the same length.
    """
    weight = weight.astype(np.float64, copy=False)
    rng = np.random.default_rng(0)
    factors = [rng.normal(size=(side, rank)) for side in weight.shape]
    energy = float((weight**2).sum())
    if energy == 0.0:
        restore, reduce, vertical, horizontal = (np.zeros_like(factor) for factor in factors)
        return Cp(reduce.T, vertical.T, horizontal.T, restore, 0.0)
    grams = [factor.T @ factor for factor in factors]
    flat, lost = unfold(weight, 0), 1.0
    for _ in range(rounds):
        before = lost
        others = np.einsum("ir,hr,wr->ihwr", *factors[1:], optimize=True)
        right = flat @ others.reshape(-1, rank)
        _update(factors, grams, 0, right)
        # The other updates need the weight only multiplied by the new first factor.
        seen = (flat.T @ factors[0]).reshape(*weight.shape[1:], rank)
        for axis, term in ((1, "ihwr,hr,wr->ir"), (2, "ihwr,ir,wr->hr"), (3, "ihwr,ir,hr->wr")):
            known = [factors[other] for other in (1, 2, 3) if other != axis]
            right = np.einsum(term, seen, *known, optimize=True)
            _update(factors, grams, axis, right)
        cross = float((right * factors[3]).sum())
        own = float((grams[0] * grams[1] * grams[2] * grams[3]).sum())
        lost = max(0.0, (energy - 2 * cross + own) / energy)
        if abs(before - lost) < _SETTLED * max(lost, 1e-6):
            break
    lengths = [np.linalg.norm(factor, axis=0) for factor in factors]
    length = np.prod(lengths, axis=0) ** 0.25
    restore, reduce, vertical, horizontal = (
        factor * np.divide(length, own, out=np.zeros_like(own), where=own > 0)
        for factor, own in zip(factors, lengths, strict=True)
    )
    return Cp(reduce.T, vertical.T, horizontal.T, restore, lost)


def _update(
    factors: list[np.ndarray], grams: list[np.ndarray], axis: int, right: np.ndarray
) -> None:
    """Set one factor, and its Gram matrix, to the least-squares solution given the others."""
    system = np.prod([gram for other, gram in enumerate(grams) if other != axis], axis=0)
    ridge = _RIDGE * float(np.trace(system)) / len(system)
    factor = np.linalg.solve(system + ridge * np.eye(len(system)), right.T).T
    factors[axis] = factor
    grams[axis] = factor.T @ factor


def _projected(weight: np.ndarray, basis: np.ndarray, axis: int) -> np.ndarray:
    """Return `weight` with `basis` (r, side) applied along `axis`."""
    return np.moveaxis(np.tensordot(basis, weight, axes=(1, axis)), 0, axis)


def _lost(kept: np.ndarray) -> np.ndarray:
    """Return 1 - kept / all for ranks from 0, given the energy kept for ranks from 1."""
    padded = np.pad(kept, [(1, 0)] * kept.ndim)
    whole = kept.flat[-1]
    share: np.ndarray = (
        np.maximum(0.0, 1.0 - padded / whole) if whole > 0 else np.zeros_like(padded)
    )
    return share
