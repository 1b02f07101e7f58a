"""Reports of runs and judgements, for people and for programs."""

from perfsuite.report.certified import print_certificate
from perfsuite.report.documents import comparison_document, judgement_document
from perfsuite.report.formats.table import FORMATS, format_of_file, render
from perfsuite.report.optimized import optimum_document, optimum_markdown, print_optimum
from perfsuite.report.plans import plan_document, plan_text
from perfsuite.report.profile.profiled_run import print_profile, profile_document, write_profile
from perfsuite.report.tables.cell_rows import CellRow, rows
from perfsuite.report.terminal import print_comparison, print_run, print_verdicts
from perfsuite.report.writing import PAGE, write_report

__all__ = [
    "FORMATS",
    "PAGE",
    "CellRow",
    "comparison_document",
    "format_of_file",
    "judgement_document",
    "optimum_document",
    "optimum_markdown",
    "plan_document",
    "plan_text",
    "print_certificate",
    "print_comparison",
    "print_optimum",
    "print_profile",
    "print_run",
    "print_verdicts",
    "profile_document",
    "render",
    "rows",
    "write_profile",
    "write_report",
]
