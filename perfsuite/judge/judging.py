"""From stored runs to verdicts, an exit code and warnings.

Exit codes: 0 pass, 1 regressed, over budget, or something else ran than what is required, 2 usage
or configuration, 3 cannot judge. Where several hold, 2 comes before 1 and 1 before 3, in the order
in which a person must fix them.
"""

from __future__ import annotations

from collections.abc import Iterable

from perfsuite.domain.judgement import Judgement, NotProfiled
from perfsuite.domain.record import Run
from perfsuite.domain.verdict import Verdict
from perfsuite.judge.budgets import budget_verdicts
from perfsuite.judge.cautions import cautions, cautions_beside
from perfsuite.judge.decisions import RED
from perfsuite.judge.regression import regression_verdicts
from perfsuite.judge.requirements import requirement_verdicts
from perfsuite.judge.status import misconfigured, status_verdicts, trouble, without_breakdown

USAGE = 2
_LACKING = ("require", "failed")


def judge(run: Run, baseline: Run | None = None) -> Judgement:
    """Return all verdicts on `run`: of its cells' statuses, its budgets, and against a baseline.

    It depends only on the records: no files are read, and nothing is random.
    """
    verdicts = [
        *status_verdicts(run),
        *requirement_verdicts(run),
        *budget_verdicts(run, baseline),
    ]
    warnings = cautions(run, baseline)
    if baseline is not None:
        verdicts += regression_verdicts(run, baseline)
        warnings += cautions_beside(run, baseline)
    code = USAGE if misconfigured(run) else exit_code(verdicts)
    return Judgement(tuple(verdicts), code, tuple(warnings))


def judge_profile(run: Run, *, asked: bool) -> Judgement:
    """Return a warning for each cell of a profile that lacks its breakdown, and the exit code.

    Where nobody `asked` for these cells, some may lack it, if one has it and none failed.
    """
    judged = judge(run)
    records = [run.records[cell.id] for cell in run.header.cells]
    lacking = [one for one in records if one.breakdown is None or one.status != "ok"]
    warnings = (
        NotProfiled(one.cell.key, trouble(one) or without_breakdown(one)) for one in lacking
    )
    excused = {"ok", "unsupported", "unavailable"} >= {one.status for one in records}
    if not asked and excused and len(lacking) < len(records):
        code = 0
    else:
        code = judged.exit_code or (USAGE if lacking else 0)
    return Judgement((), code, (*judged.warnings, *warnings))


def exit_code(verdicts: Iterable[Verdict]) -> int:
    """Return 0 if all verdicts passed, 1 if one is red or what is required did not run, else 3."""
    others = [verdict for verdict in verdicts if verdict.status != "pass"]
    if any(one.status in RED or (one.check, one.status) == _LACKING for one in others):
        return 1
    return 3 if others else 0
