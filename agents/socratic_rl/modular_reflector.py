"""The rule-based reflecting teacher of arithmetic modulo 7, in the words that its student reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from agents.warm_start.modular_student import principle
from socratic_env.errors import check_count
from socratic_env.questions.modular import moves, packed
from socratic_env.reflection import Reflection, Reflector
from socratic_env.reflection.reflector import reference
from socratic_env.traces import InteractionTrace
from socratic_env.verifiers import text
from socratic_env.viewpoints import Viewpoint


class ModularReflector(Reflector):
    """Proposes the principle of each misconception that was seen in enough traces of a batch.

    A line that several misconceptions explain counts for each of them; what a student reads is told apart
    by its utility.

    Args:
        min_seen: in how many traces of a batch.
    """

    def __init__(self, min_seen: int = 8) -> None:
        check_count("reflector 'modular': min_seen", min_seen)
        self._min_seen = int(min_seen)

    async def consider(self, traces: Sequence[InteractionTrace]) -> Reflection:
        """The viewpoints of a batch; traces of questions of another kind are `unread`."""
        seen: Counter[str] = Counter()
        first: dict[str, InteractionTrace] = {}
        unread = 0
        for trace in traces:
            if trace.question.domain != "modular":
                unread += 1
                continue
            said = text(trace.question, trace.text).answer or ""
            for name in set().union(*misconceptions_in(trace.question.statement, said)):
                seen[name] += 1
                first.setdefault(name, trace)
        found = [
            Viewpoint(principle(name).text, "principle", name, reference(first[name]), "modular", "1")
            for name, count in seen.most_common()
            if count >= self._min_seen
        ]
        return Reflection(tuple(found), unread=unread)


def misconceptions_in(statement: str, working: str) -> list[set[str]]:
    """Of each wrong line of a working the misconceptions that lead to it (empty: none does; the lines after
    it are not read).

    Args:
        working: lines with "=" between them, each after one operation.
    """
    before, found = packed(statement), []
    for line in map(packed, working.split("=")):
        if before.isdecimal():
            break
        options = moves(before)
        if line != options[""]:
            found.append({name for name, led in options.items() if led == line})
            if not found[-1]:
                break
        before = line
    return found
