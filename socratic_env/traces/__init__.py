"""What a student wrote, read line by line: which lines hold, what went wrong in the others, and where."""

from socratic_env.traces.diagnosis import Diagnosis, diagnose, judge_line
from socratic_env.traces.expression_reader import expression_in
from socratic_env.traces.interaction_traces import InteractionTrace, traces_of
from socratic_env.traces.judging import SLIP, Explanation, Reading, Status
from socratic_env.traces.planting import RIGHT, Planted, moves, plant

__all__ = [
    "RIGHT",
    "SLIP",
    "Diagnosis",
    "Explanation",
    "InteractionTrace",
    "Planted",
    "Reading",
    "Status",
    "diagnose",
    "expression_in",
    "judge_line",
    "moves",
    "plant",
    "traces_of",
]
