"""Decompositions: exact where they can be, the nearest where not, by numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from alike import assert_alike
from hypothesis import given, settings
from hypothesis import strategies as st

from perfsuite.passes.lowrank import factorization


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def composed(found: factorization.Cp) -> np.ndarray:
    return np.einsum(
        "or,ri,rh,rw->oihw", found.restore, found.reduce, found.vertical, found.horizontal
    )


def tucker(weight: np.ndarray, ranks: tuple[int, int]) -> np.ndarray:
    return np.einsum("is,osab,to->tiab", *_in_order(factorization.tucker2(weight, ranks)))


def _in_order(parts: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    reduce, core, restore = parts
    return reduce.T, core, restore


def share_lost(weight: np.ndarray, near: np.ndarray) -> float:
    return float(((weight - near) ** 2).sum() / (weight**2).sum())


def test_energy_of_a_diagonal_matrix() -> None:
    # Singular values 4, 2, 2, 1: energies 16, 4, 4, 1 of 25; kept 0.64, 0.8, 0.96, 1.
    matrix = np.diag([2.0, -4.0, 1.0, 2.0])
    energies, _ = factorization.spectrum(matrix)
    assert np.allclose(energies, [16, 4, 4, 1])
    ranks = {0.5: 1, 0.64: 1, 0.65: 2, 0.8: 2, 0.81: 3, 0.96: 3, 0.97: 4}
    assert {share: factorization.rank_for(energies, share) for share in ranks} == ranks
    assert np.allclose(factorization.lost_by_rank(matrix), [1, 0.36, 0.2, 0.04, 0])
    restore, reduce = factorization.low_rank(matrix, 1)
    assert np.allclose(restore @ reduce, np.diag([0, -4.0, 0, 0]))
    # Each factor bears the root of the singular value.
    assert np.allclose(np.abs(restore[1]), 2) and np.allclose(np.abs(reduce[:, 1]), 2)


@pytest.mark.parametrize("shape", [(5, 9), (9, 5), (4, 4)])
def test_a_matrix_is_exact_at_full_rank_and_nearest_below(shape: tuple[int, int]) -> None:
    matrix = draw(*shape)
    values = np.linalg.svd(matrix, compute_uv=False)
    lost = factorization.lost_by_rank(matrix)
    assert len(lost) == min(shape) + 1
    for rank in range(1, min(shape) + 1):
        restore, reduce = factorization.low_rank(matrix, rank)
        assert restore.shape == (shape[0], rank) and reduce.shape == (rank, shape[1])
        error = ((matrix - restore @ reduce) ** 2).sum()
        assert np.isclose(error, (values[rank:] ** 2).sum(), atol=1e-12)
        assert np.isclose(lost[rank], (values[rank:] ** 2).sum() / (values**2).sum(), atol=1e-12)


def test_ranks_beyond_what_a_matrix_has_do_no_harm() -> None:
    matrix = np.outer(draw(6), draw(7, seed=1))
    restore, reduce = factorization.low_rank(matrix, 5)
    assert np.allclose(restore @ reduce, matrix)
    zero = factorization.low_rank(np.zeros((3, 4)), 2)
    assert not (zero[0] @ zero[1]).any() and not factorization.lost_by_rank(np.zeros((3, 4))).any()


def test_tucker_is_exact_at_full_rank() -> None:
    weight = draw(6, 4, 3, 3)
    assert np.allclose(tucker(weight, (6, 4)), weight)
    assert factorization.lost_by_ranks(weight).shape == (7, 5)
    assert np.isclose(factorization.lost_by_ranks(weight)[6, 4], 0, atol=1e-12)


def test_tucker_finds_the_ranks_that_a_weight_has() -> None:
    weight = np.einsum("to,osab,si->tiab", draw(8, 3), draw(3, 2, 3, 3), draw(2, 6))
    assert np.allclose(tucker(weight, (3, 2)), weight)
    assert (
        factorization.lost_by_ranks(weight)[3, 2]
        < 1e-12
        < factorization.lost_by_ranks(weight)[2, 2]
    )


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 7), st.integers(2, 7), st.integers(0, 1000))
def test_tucker_loses_less_with_each_rank(rows: int, columns: int, seed: int) -> None:
    weight = draw(rows, columns, 3, 2, seed=seed)
    table = factorization.lost_by_ranks(weight)
    assert (np.diff(table, axis=0) <= 1e-12).all() and (np.diff(table, axis=1) <= 1e-12).all()
    ranks = (rows // 2 + 1, columns // 2 + 1)
    iterated = share_lost(weight, tucker(weight, ranks))
    # The iteration begins with the truncation and only makes it better...
    assert iterated <= table[ranks] + 1e-12
    # ... which loses at most what its two truncations do.
    singly = table[ranks[0], columns] + table[rows, ranks[1]]
    assert table[ranks] <= singly + 1e-12


def test_cp_finds_the_components_that_a_weight_has() -> None:
    weight = np.einsum(
        "or,ri,rh,rw->oihw", draw(8, 3), draw(3, 6, seed=1), draw(3, 3, seed=2), draw(3, 3, seed=3)
    )
    found = factorization.cp(weight, 3, rounds=200)
    assert found.reduce.shape == (3, 6) and found.restore.shape == (8, 3)
    assert found.vertical.shape == (3, 3) and found.horizontal.shape == (3, 3)
    assert found.lost < 1e-4 and share_lost(weight, composed(found)) < 1e-4
    again = factorization.cp(weight, 3, rounds=200)
    for one, other in zip(found[:4], again[:4], strict=True):
        assert_alike(one, other)


def test_cp_loses_less_with_more_components_and_says_how_much() -> None:
    weight = draw(8, 6, 3, 3)
    lost = []
    for rank in (2, 8, 24, 54):
        found = factorization.cp(weight, rank)
        assert np.isclose(found.lost, share_lost(weight, composed(found)), atol=1e-6)
        lost.append(found.lost)
    assert lost == sorted(lost, reverse=True) and lost[-1] < 0.02
    lengths = [np.linalg.norm(f, axis=1) for f in (found.reduce, found.vertical, found.restore.T)]
    assert np.allclose(lengths[0], lengths[1]) and np.allclose(lengths[0], lengths[2])


def test_cp_of_nothing_is_nothing() -> None:
    found = factorization.cp(np.zeros((4, 3, 3, 3)), 2)
    assert not composed(found).any() and found.lost == 0.0


def test_cp_takes_more_components_than_there_are() -> None:
    weight = np.einsum("o,i,h,w->oihw", draw(5), draw(4), draw(3), draw(3))
    assert share_lost(weight, composed(factorization.cp(weight, 6))) < 1e-6
