"""What is wrong with a question set, and how far it can be answered without understanding.

Pure functions: questions in, a report out. `socratic audit` prints it.
"""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from socratic_env.questions.audit import blind, damage, duplicates, recompute
from socratic_env.questions.files import Contents, Refused
from socratic_env.types import Question

UNREADABLE = "unreadable row"
OPTIONS_MISSING = "options missing"
LABEL_OUTSIDE = "label outside the options"
CONTRADICTION = "label contradicts the rule"
EXACT, NEAR = "exact duplicate", "near duplicate"
KINDS = (
    UNREADABLE, OPTIONS_MISSING, LABEL_OUTSIDE, damage.MIS_SPLIT, damage.DUPLICATE_OPTIONS,
    damage.DATA_MISSING, damage.FOREIGN_OPTIONS, CONTRADICTION, EXACT, NEAR,
)  # fmt: skip
"""Kinds of problem, in the words with which a row's problem begins."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem of one row."""

    id: str
    kind: str
    detail: str


@dataclass(frozen=True, slots=True)
class Report:
    """The problems of all rows, and a summary for each sub-task."""

    problems: tuple[Problem, ...]
    subtasks: tuple[dict[str, Any], ...]

    def as_json(self, kinds: Iterable[str] = KINDS) -> dict[str, Any]:
        """{"rows": [{"id", "problem"}], "subtasks": [...]}, with one entry for each row that has a
        problem of these kinds; this is what `exclude=` reads."""
        wanted, rows = set(kinds), defaultdict(list)
        for problem in self.problems:
            if problem.kind in wanted:
                rows[problem.id].append(f"{problem.kind}: {problem.detail}")
        listed = [{"id": row_id, "problem": "; ".join(found)} for row_id, found in rows.items()]
        return {"rows": listed, "subtasks": list(self.subtasks)}


def audit(
    contents: Contents,
    tokens: Callable[[Question], int] | None = None,
    progress: Callable[[str], None] = lambda _stage: None,
) -> Report:
    """The report on what files hold. `tokens` counts those of a question; `progress` is told each
    stage."""
    questions = contents.questions
    problems = [_of_refused(refused) for refused in contents.refused]
    progress("rows by themselves")
    for question in questions:
        problems += [Problem(question.id, kind, why) for kind, why in damage.problems(question)]
    damaged = {problem.id for problem in problems if problem.kind != damage.DUPLICATE_OPTIONS}
    progress("duplicates")
    for again in duplicates.find(questions):
        where = "other" if again.between_splits else "same"
        differ = "" if again.same_answer else ", with another answer"
        kind = EXACT if again.exact else NEAR
        problems.append(Problem(again.id, kind, f"of {again.of} in the {where} split{differ}"))
    progress("truths that can be recomputed")
    derived = {q.id: recompute.derived(q) for q in questions if q.id not in damaged}
    for question in questions:
        letter = derived.get(question.id)
        if letter is not None and letter != question.answer:
            gives = f"option {letter}" if letter else "none of the options"
            rule = recompute.RULES[question.subtask].text
            why = f"it is {question.answer}, but the rule ({rule}) gives {gives}"
            problems.append(Problem(question.id, CONTRADICTION, why))
    progress("blind rules")
    groups: dict[tuple[str, str], list[Question]] = defaultdict(list)
    for question in questions:
        groups[question.domain, question.subtask].append(question)
    by_row: dict[str, list[Problem]] = defaultdict(list)
    for problem in problems:
        by_row[problem.id].append(problem)
    summaries = [
        _summary(domain, subtask, rows, by_row, derived, tokens)
        for (domain, subtask), rows in sorted(groups.items())
    ]
    if contents.refused:
        summaries.append(_refused_summary(contents.refused))
    return Report(tuple(problems), tuple(summaries))


_NO_OPTIONS = ("no options", "which are 0; give 2 to", "option is missing", " is missing before option")


def _of_refused(refused: Refused) -> Problem:
    detail = "; ".join(refused.problems)
    first = refused.problems[0]
    if any(said in first for said in _NO_OPTIONS):
        return Problem(refused.id, OPTIONS_MISSING, detail)
    if "none of its options" in first or "none of the options" in first:
        return Problem(refused.id, LABEL_OUTSIDE, detail)
    return Problem(refused.id, UNREADABLE, detail)


def _refused_summary(refused: Sequence[Refused]) -> dict[str, Any]:
    kinds = Counter(_of_refused(row).kind for row in refused)
    return {"domain": "", "subtask": "(rows that cannot be loaded)", "rows": len(refused)} | _empty(kinds)


def _empty(kinds: Counter[str]) -> dict[str, Any]:
    return {
        "splits": {}, "options": {}, "letters": {}, "characters": None, "tokens": None,
        "problems": dict(kinds), "between_splits": {}, "best_blind": None, "blind": {}, "recomputed": None,
    }  # fmt: skip


def _summary(
    domain: str,
    subtask: str,
    rows: Sequence[Question],
    by_row: dict[str, list[Problem]],
    derived: dict[str, str | None],
    tokens: Callable[[Question], int] | None,
) -> dict[str, Any]:
    """What is known of one sub-task, ready for JSON."""
    ranked = blind.scores(rows)
    found = [problem for row in rows for problem in by_row[row.id]]
    between = [p for p in found if p.kind in (EXACT, NEAR) and "in the other split" in p.detail]
    answers = [(derived[row.id], row.answer) for row in rows if derived.get(row.id) is not None]
    rule = recompute.RULES.get(subtask)
    return {
        "domain": domain,
        "subtask": subtask,
        "rows": len(rows),
        "splits": dict(Counter(duplicates.split_of(row) for row in rows)),
        "options": dict(sorted(Counter(str(len(row.options)) for row in rows).items())),
        "letters": dict(sorted(Counter(row.answer for row in rows if row.options).items())),
        "characters": _spread([len(row.text) for row in rows]),
        "tokens": _spread([tokens(row) for row in rows]) if tokens else None,
        "problems": dict(Counter(problem.kind for problem in found)),
        "between_splits": dict(Counter(problem.kind for problem in between)),
        "best_blind": (
            asdict(ranked[0]) | {"standard_errors": ranked[0].standard_errors} if ranked else None
        ),
        "blind": {score.rule: score.accuracy for score in ranked},
        "recomputed": (
            {
                "rule": rule.text,
                "checked": len(answers),
                "agree": sum(mine == label for mine, label in answers),
            }
            if rule
            else None
        ),
    }


def _spread(values: Sequence[int]) -> dict[str, float]:
    return {"median": statistics.median(values), "longest": max(values)}
