"""The sections of the page, in their order."""

from __future__ import annotations

from collections.abc import Callable

from perfsuite.report.html.blocks import Section
from perfsuite.report.html.page import Page
from perfsuite.report.html.sections.ablation import ablation
from perfsuite.report.html.sections.across import across
from perfsuite.report.html.sections.answer import answer
from perfsuite.report.html.sections.backends import backends
from perfsuite.report.html.sections.cells import cells
from perfsuite.report.html.sections.comparison import comparison
from perfsuite.report.html.sections.environment import environment
from perfsuite.report.html.sections.latencies import latencies
from perfsuite.report.html.sections.layers import layers
from perfsuite.report.html.sections.pareto import pareto
from perfsuite.report.html.sections.pictures import pictures
from perfsuite.report.html.sections.reproduce import reproduce
from perfsuite.report.html.sections.roofline import roofline
from perfsuite.report.html.sections.sensitivity import sensitivity
from perfsuite.report.html.sections.stages import stages
from perfsuite.report.html.sections.theory import theory

# Each returns a section of the page, or None where the run has nothing for it.
SECTIONS: tuple[Callable[[Page], Section | None], ...] = (
    answer,
    comparison,
    pareto,
    cells,
    ablation,
    across,
    pictures,
    sensitivity,
    latencies,
    stages,
    roofline,
    theory,
    layers,
    backends,
    environment,
    reproduce,
)


def sections(page: Page) -> list[Section]:
    """Return the sections of a page, without those that have nothing to say."""
    return [one for make in SECTIONS if (one := make(page)) is not None]
