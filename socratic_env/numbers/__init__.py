"""The one reader of numbers and units, for verifiers, teachers, the leak detector and the audit alike.

`notation.py` takes the dress off a text (LaTeX, markdown, dashes), `reading.py` reads what is left exactly,
`units.py` compares units, `words.py` reads numbers in words.
"""

from socratic_env.numbers.notation import BLANKS, plain
from socratic_env.numbers.reading import (
    DECIMAL,
    Number,
    close_enough,
    first_number,
    numbers_in,
    parse_number,
    read_number,
)
from socratic_env.numbers.units import same_unit
from socratic_env.numbers.words import numbers_in_words

__all__ = [
    "BLANKS",
    "DECIMAL",
    "Number",
    "close_enough",
    "first_number",
    "numbers_in",
    "numbers_in_words",
    "parse_number",
    "plain",
    "read_number",
    "same_unit",
]
