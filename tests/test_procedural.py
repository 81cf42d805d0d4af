"""Procedural questions: fair options, honest worked mistakes, truth re-derived by another route."""

from __future__ import annotations

import itertools
import json
import math
import os
import re
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.procedural_items import items

from socratic_env.dialogue import Rules, answer, open_dialogue
from socratic_env.errors import QuestionError
from socratic_env.numbers import parse_number
from socratic_env.questions import load_questions
from socratic_env.questions.procedural import TEMPLATES, ProceduralSet, concepts
from socratic_env.questions.procedural.template import LEVELS, Slip, Step, Template, register
from socratic_env.teachers.rule_teacher import diagnose
from socratic_env.types import AnswerKind, Question, reply
from socratic_env.verifiers import by_kind

MANY, SOME = 1200, 100
BLIND_LIMIT = 0.45
BLIND_LIMIT_OF_A_LEVEL = 0.5

EVERY = [template for family in TEMPLATES.values() for template in family.values()]
CHOICE = [template for template in EVERY if template.kind is AnswerKind.CHOICE]
NUMERIC = [template for template in EVERY if template.kind is AnswerKind.NUMERIC]
DRILLS = list(TEMPLATES["drills"].values())
CONCEPTS = [template for template in NUMERIC if template.family == "concepts"]

every_template = pytest.mark.parametrize("template", EVERY, ids=lambda t: f"{t.family}-{t.name}")
choice_template = pytest.mark.parametrize("template", CHOICE, ids=lambda t: t.name)
numeric_template = pytest.mark.parametrize("template", NUMERIC, ids=lambda t: t.name)


def option_text(question: Question, letter: str) -> str:
    return next(option.text for option in question.options if option.letter == letter)


def number_of(text: str) -> float:
    """The number that an option gives; of a text, its place in the alphabetical order."""
    try:
        return float(text.split()[0])
    except ValueError:
        return int.from_bytes(text.encode().ljust(64))


def values(question: Question) -> dict[str, float]:
    return {option.letter: number_of(option.text) for option in question.options}


def facts(template: Template, question: Question) -> tuple[tuple[str, str], ...]:
    """What the statement gives, whatever its phrasing."""
    for phrasing in template.phrasings:
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+)", re.escape(phrasing))
        if match := re.fullmatch(pattern, question.statement):
            return tuple(sorted(match.groupdict().items()))
    raise AssertionError(f"{question.statement!r} follows no phrasing of {template.name}")


# -- options -----------------------------------------------------------------------------


@choice_template
def test_four_distinct_options_with_letters_in_order(template: Template) -> None:
    for question in items(template, count=MANY):
        assert question.letters == tuple("ABCD")
        assert len({option.text for option in question.options}) == 4
        assert len(set(values(question).values())) == 4
        assert question.answer in question.letters


@choice_template
def test_options_look_alike(template: Template) -> None:
    """No option stands out by notation, sign or a different unit."""
    for question in items(template, count=MANY):
        if not any(option.text[0].isdigit() for option in question.options):
            continue  # texts
        units = {option.text.partition(" ")[2] for option in question.options}
        assert len(units) == 1, question.options
        assert len({value > 0 for value in values(question).values()}) == 1, question.options
        assert len({"e" in option.text.split()[0] for option in question.options}) == 1, question.options


@choice_template
def test_every_letter_is_right_about_as_often(template: Template) -> None:
    shares = Counter(question.answer for question in items(template, count=MANY))
    for letter in "ABCD":
        assert 0.20 <= shares[letter] / MANY <= 0.30, shares


@choice_template
def test_at_least_2000_distinct_items(template: Template) -> None:
    seen, count = set(), 0
    while len(seen) < 2000:
        assert count < 8000, f"only {len(seen)} distinct items among {count}"
        count += 500
        seen |= {facts(template, question) for question in items(template, count=count)[-500:]}


# -- blind rules -------------------------------------------------------------------------

Scores = dict[str, float]


def _digits(text: str) -> str:
    return text.split()[0].partition("e")[0].replace(".", "").strip("0")


def _common_prefix(one: str, other: str) -> int:
    pairs = zip(one, other, strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))


def _same_places(one: str, other: str) -> int:
    return sum(a == b for a, b in zip(one, other, strict=False))


def _shared_digits(one: str, other: str) -> int:
    return sum((Counter(one) & Counter(other)).values())


def _by_likeness(likeness: Callable[[str, str], int]) -> Callable[[Question], Scores]:
    def scores(question: Question) -> Scores:
        digits = {option.letter: _digits(option.text) for option in question.options}
        return {a: sum(likeness(digits[a], digits[b]) for b in digits if b != a) for a in digits}

    return scores


def _by_rank(rank: int) -> Callable[[Question], Scores]:
    def scores(question: Question) -> Scores:
        numbers = values(question)
        ordered = sorted(numbers, key=lambda letter: numbers[letter])
        return {letter: float(letter == ordered[rank]) for letter in ordered}

    return scores


def _near(centre: Callable[[list[float]], float]) -> Callable[[Question], Scores]:
    def scores(question: Question) -> Scores:
        numbers = values(question)
        middle = centre(list(numbers.values()))
        return {letter: -abs(number - middle) for letter, number in numbers.items()}

    return scores


SIMPLE_FACTORS = (2, 3, 4, 5, 10, 100, 1000, 3.6, math.sqrt(2))


def _by_simple_ratios(question: Question) -> Scores:
    """The option from which most of the others are one usual factor away."""
    numbers = values(question)

    def linked(one: float, other: float) -> bool:
        ratio = max(abs(one), abs(other)) / min(abs(one), abs(other))
        return any(abs(ratio - factor) < 2e-3 * factor for factor in SIMPLE_FACTORS)

    return {a: sum(linked(numbers[a], numbers[b]) for b in numbers if b != a) for a in numbers}


BLIND_RULES: dict[str, Callable[[Question], Scores]] = {
    "longest text": lambda q: {o.letter: len(o.text) for o in q.options},
    "shortest text": lambda q: {o.letter: -len(o.text) for o in q.options},
    "fewest digits": lambda q: {o.letter: -len(_digits(o.text)) for o in q.options},
    **{f"rank {rank}": _by_rank(rank) for rank in range(4)},
    **{f"letter {a}": lambda q, a=a: {o.letter: float(o.letter == a) for o in q.options} for a in "ABCD"},
    "longest common prefix": _by_likeness(_common_prefix),
    "same digit in the same place": _by_likeness(_same_places),
    "most digits shared": _by_likeness(_shared_digits),
    "nearest to the mean": _near(statistics.fmean),
    "nearest to the median": _near(statistics.median),
    "nearest to the geometric mean": _near(
        lambda v: math.copysign(statistics.geometric_mean(map(abs, v)), v[0])
    ),
    "simple ratios to the others": _by_simple_ratios,
}


@pytest.mark.parametrize("rule", BLIND_RULES)
@choice_template
def test_no_blind_rule_finds_the_answer(template: Template, rule: str) -> None:
    hits: dict[str, list[float]] = {level: [] for level in template.draws}
    for question in items(template, count=MANY):
        scores = BLIND_RULES[rule](question)
        most = max(scores.values())
        best = [letter for letter, score in scores.items() if score == most]
        hits[question.level].append((question.answer in best) / len(best))  # a tie is broken by chance
    assert statistics.fmean(itertools.chain(*hits.values())) <= BLIND_LIMIT
    for level, shares in hits.items():
        assert statistics.fmean(shares) <= BLIND_LIMIT_OF_A_LEVEL, level


@numeric_template
def test_no_constant_answer_is_right_too_often(template: Template) -> None:
    answers = Counter(question.answer for question in items(template, count=300))
    assert answers.most_common(1)[0][1] / 300 <= BLIND_LIMIT


# -- levels and drills -------------------------------------------------------------------


@every_template
def test_levels_take_turns_and_differ(template: Template) -> None:
    levels = list(template.draws)
    assert levels == [level for level in LEVELS if level in template.draws]
    seen: dict[str, set[object]] = {level: set() for level in levels}
    for number, question in enumerate(items(template, count=SOME * 3)):
        assert question.level == levels[number % len(levels)]
        seen[question.level].add(facts(template, question))
    for one, other in itertools.combinations(seen.values(), 2):
        assert len(one & other) < min(len(one), len(other)) / 4


@choice_template
def test_science_has_every_level(template: Template) -> None:
    assert tuple(template.draws) == LEVELS


@pytest.mark.parametrize("template", DRILLS, ids=lambda t: t.name)
def test_drills_are_small_whole_numbers(template: Template) -> None:
    questions = items(template, count=500)
    assert len({question.statement for question in questions}) >= 200
    for question in questions:
        assert len(question.mistakes) >= 3
        for text in (question.solution or "", *(mistake.reasoning for mistake in question.mistakes)):
            for line, step in zip(text.split("\n"), template.steps, strict=True):
                symbol, value = line.split()
                assert symbol == step.symbol
                assert value == str(int(value))
                assert 0 <= int(value) < 100


# -- the same everywhere, and splits apart ----------------------------------------------

_PRINT_ITEMS = """
import json, sys
from socratic_env.questions import load_questions
picked = []
for family, split in json.loads(sys.argv[1]):
    questions = load_questions(family, None, split)
    picked += [repr((q.id, q.text, q.answer, q.solution, q.mistakes and q.mistakes[0].reasoning))
               for q in (questions[index] for index in range(0, 400, 7))]
print(json.dumps(picked))
"""


def test_items_are_the_same_in_every_process() -> None:
    wanted = json.dumps(list(itertools.product(sorted(TEMPLATES), ("train", "test"))))
    outputs = []
    for hash_seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", _PRINT_ITEMS, wanted],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        outputs.append(json.loads(done.stdout))
    assert len(set(outputs[0])) > 100
    assert outputs[0] == outputs[1]


@every_template
def test_an_index_is_always_the_same_item(template: Template) -> None:
    for number in (0, 17, 999_999):
        one, other = template.item("train", number), template.item("train", number)
        assert one == other
        assert one.mistakes == other.mistakes
        assert one.solution == other.solution


@every_template
def test_splits_share_no_item(template: Template) -> None:
    many, few = (MANY, 300) if template.kind is AnswerKind.CHOICE else (300, SOME)
    train = {facts(template, question) for question in items(template, "train", many)}
    test = {facts(template, question) for question in items(template, "test", few)}
    assert len(test) > few / 3
    assert not train & test


# -- solutions, mistakes and hints -------------------------------------------------------


@every_template
def test_the_solution_passes_its_own_verifier(template: Template) -> None:
    for split in ("train", "test"):
        for question in items(template, split, SOME):
            assert question.solution is not None
            verdict = by_kind(question, reply(question.solution, question.answer))
            assert verdict.correct, (question.id, verdict)


def last_value(reasoning: str) -> str:
    """The result that a worked reasoning ends with (before "That is option X.")."""
    lines = reasoning.split("\n")
    if lines[-1].startswith("That is option"):
        lines.pop()
    return lines[-1].rpartition(" = ")[2] if " = " in lines[-1] else lines[-1].split()[-1]


@every_template
def test_every_reasoning_leads_to_its_own_answer(template: Template) -> None:
    for question in items(template, count=SOME):
        assert question.mistakes
        worked = [(question.answer, question.solution or "")]
        worked += [(mistake.answer, mistake.reasoning) for mistake in question.mistakes]
        for given_answer, reasoning in worked:
            if question.kind is AnswerKind.CHOICE:
                assert last_value(reasoning) == option_text(question, given_answer)
                assert reasoning.endswith(f"\nThat is option {given_answer}.")
            else:
                assert last_value(reasoning) == given_answer


@every_template
def test_every_mistake_is_wrong(template: Template) -> None:
    for question in items(template, count=SOME):
        for mistake in question.mistakes:
            verdict = by_kind(question, reply(mistake.reasoning, mistake.answer))
            assert not verdict.correct
            assert verdict.answer == mistake.answer


@choice_template
def test_every_wrong_option_is_one_mistake(template: Template) -> None:
    for question in items(template, count=SOME):
        wrong = sorted(set(question.letters) - {question.answer})
        assert sorted(mistake.answer for mistake in question.mistakes) == wrong
        assert len({mistake.name for mistake in question.mistakes}) == 3


@every_template
def test_wrong_line_is_the_first_that_differs_from_the_solution(template: Template) -> None:
    for question in items(template, count=SOME):
        right = (question.solution or "").split("\n")
        for mistake in question.mistakes:
            lines = mistake.reasoning.split("\n")
            pairs = enumerate(zip(lines, right, strict=True))
            first = next(index for index, (mine, theirs) in pairs if mine != theirs)
            assert mistake.wrong_line == first, (question.id, mistake.name)


@every_template
def test_hints_never_name_the_answer(template: Template) -> None:
    for question in items(template, count=SOME):
        for mistake in question.mistakes:
            hints = " ".join((mistake.locate, mistake.explain, mistake.next_step))
            numbers = [float(number) for number in re.findall(r"\d+(?:\.\d+)?", hints)]
            if question.kind is AnswerKind.CHOICE:
                assert not re.search(r"\b[ABCD]\b", hints), hints
                right = option_text(question, question.answer)
                assert right not in hints
                assert number_of(right) not in numbers, hints
            else:
                assert parse_number(question.answer) not in numbers, hints


@every_template
def test_hints_grow_and_differ(template: Template) -> None:
    for question in items(template, count=20):
        for mistake in question.mistakes:
            hints = (mistake.locate, mistake.explain, mistake.next_step)
            assert all(hints)
            assert len(set(hints)) == 3
            assert "{" not in "".join(hints)


@every_template
def test_every_declared_slip_is_met(template: Template) -> None:
    """A slip that never becomes a mistake is dead weight, such as one that equals the truth. Drills
    leave out those that lead to no small whole number."""
    met = {m.name for question in items(template, count=SOME * 2) for m in question.mistakes}
    declared = {slip.name for slip in template.slips}
    assert met == declared if template.within is None else met <= declared
    every = {(m.name, m.wrong_line) for question in items(template, count=SOME) for m in question.mistakes}
    assert len(every) >= 5


# -- the rule teacher's diagnosis --------------------------------------------------------


@every_template
def test_each_mistake_is_diagnosed_from_its_own_reasoning(template: Template) -> None:
    for question in items(template, count=SOME):
        for mistake in question.mistakes:
            said = reply(mistake.reasoning, mistake.answer)
            attempt = answer(open_dialogue(question), said, Rules()).attempts[-1]
            found = diagnose(question, attempt)
            assert found is not None
            assert found == mistake or found.answer == mistake.answer
            if question.kind is AnswerKind.CHOICE:
                assert found == mistake


@choice_template
def test_a_bare_letter_is_diagnosed_too(template: Template) -> None:
    for question in items(template, count=20):
        for mistake in question.mistakes:
            said = f"<answer>\n{mistake.answer}\n</answer>"
            attempt = answer(open_dialogue(question), said, Rules()).attempts[-1]
            assert diagnose(question, attempt) == mistake


# -- find --------------------------------------------------------------------------------


@pytest.mark.parametrize("family", TEMPLATES)
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_find_returns_the_item_of_an_id(family: str, data: st.DataObject) -> None:
    questions = load_questions(family, None, data.draw(st.sampled_from(["train", "test"])))
    question = questions[data.draw(st.integers(0, len(questions) - 1))]
    assert questions.find(question.id) == question


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "physics",
        "physics/horizontal_throw/train",
        "physics/horizontal_throw/test/0",
        "physics/horizontal_throw/train/-1",
        "physics/horizontal_throw/train/007",
        "physics/horizontal_throw/train/1000000",
        "physics/horizontal_throw/train/" + "9" * 5000,
        "physics/horizontal_throw/train/\u0663",
        "physics/horizontal_throw/train/1/1",
        "physics/no_such_template/train/0",
        "chemistry/horizontal_throw/train/0",
        None,
        7,
    ],
    ids=lambda wrong: f"{wrong!r:.50}",
)
def test_find_names_a_valid_id_when_there_is_none(wrong: object) -> None:
    with pytest.raises(QuestionError, match=r"ids look like \w+/\w+/train/0"):
        load_questions("procedural", None, "train").find(wrong)  # type: ignore[arg-type]


def test_indices_end_where_the_set_ends() -> None:
    questions = load_questions("procedural", "physics", "train")
    assert questions[len(questions) - 1].domain == "physics"
    for index in (-1, len(questions)):
        with pytest.raises(IndexError):
            questions[index]


def test_a_family_without_the_domain_says_which_it_has() -> None:
    with pytest.raises(QuestionError, match="its domains are: concepts"):
        ProceduralSet("concepts", "physics", "train")


def test_the_ids_of_a_set_are_unique() -> None:
    for family in TEMPLATES:
        questions = load_questions(family, None, "train")
        assert len({questions[index].id for index in range(500)}) == 500


# -- concepts ----------------------------------------------------------------------------

_OPERATION = {
    "add": lambda x, y: int(str(x + y)[-1]),
    "sub": lambda x, y: (10 + x - y) % 10,
    "rev": lambda x, y: (10 + y - x) % 10,
    "mul": lambda x, y: int(str(x * y)[-1]),
    "max": lambda x, y: sorted((x, y))[1],
    "min": lambda x, y: sorted((x, y))[0],
    "gap": lambda x, y: max(x, y) - min(x, y),
    "mid": lambda x, y: math.floor((x + y) / 2),
}


@pytest.mark.parametrize("template", CONCEPTS, ids=lambda t: t.name)
def test_concepts_agree_with_a_separate_evaluation(template: Template) -> None:
    rules = {
        tuple(line.split()[0] for line in (q.solution or "").split("\n")) for q in items(template, count=50)
    }
    assert len(rules) == 1, "a concept has one hidden rule"
    ((first, second),) = rules
    for question in items(template, count=300):
        name, a, b, d = question.statement.split()
        assert name == template.name
        middle = _OPERATION[first](int(a), int(b))
        assert question.answer == str(_OPERATION[second](middle, int(d)))
        assert (question.solution or "").split("\n") == [f"{first} {middle}", f"{second} {question.answer}"]


def test_concepts_have_rules_of_their_own() -> None:
    assert len(CONCEPTS) == len(concepts.NAMES)
    assert len({tuple(step.formula for step in template.steps) for template in CONCEPTS}) > 16


# -- the frame ---------------------------------------------------------------------------


def _template(**changes: object) -> Template:
    settings: dict[str, object] = {
        "name": "doubling",
        "domain": "physics",
        "phrasings": ("Twice {n}?",),
        "draws": {"medium": lambda rng: {"n": rng.randrange(1, 1000)}},
        "steps": (Step("y", "2 * n", "the double"),),
        "slips": (
            Slip("y", "n", "forgot to double", "it is twice the number"),
            Slip("y", "3 * n", "tripled", "it is twice the number"),
            Slip("y", "4 * n", "doubled twice", "it is twice the number"),
            Slip("y", "n / 0", "divided by nothing", "never shown, since it has no value"),
            Slip("y", "-n", "turned the sign", "never shown, since the sign would tell"),
        ),
    }
    return Template(**{**settings, **changes})  # type: ignore[arg-type]


def test_a_slip_without_a_value_or_with_another_sign_is_left_out() -> None:
    names = {m.name for number in range(50) for m in _template().item("train", number).mistakes}
    assert names == {"forgot to double", "tripled", "doubled twice"}


def test_a_mistake_whose_hint_holds_the_answer_is_left_out() -> None:
    """Twice 1 is the 2 of the hint "2 * n", and twice 2 is the 4 of one name."""
    changes = {"phrasings": ("{n}",), "kind": AnswerKind.NUMERIC}
    for n, left in ((1, set()), (2, {"forgot to double", "tripled"}), (3, {"all"})):
        slips = [*_template().slips[:2], Slip("y", "4 * n", "took it 4 times", "it is twice the number")]
        template = _template(slips=tuple(slips), **changes)
        met = {slip.name for slip, *_ in template._worked_slips({"n": n}, 2 * n)}
        assert met == (left if left != {"all"} else {slip.name for slip in slips})


def test_steps_outside_a_drill_are_left_out() -> None:
    template = _template(kind=AnswerKind.NUMERIC, within=range(10))
    assert template.work({"n": 4}) == (8, ["the double: y = 2 * n = 2 * 4 = 8"])
    for n in (5, 0.25):
        with pytest.raises(ArithmeticError, match="outside"):
            template.work({"n": n})
    names = {slip.name for slip, *_ in template._worked_slips({"n": 3}, 6)}
    assert names == {"forgot to double", "tripled"}


def test_a_slip_must_name_a_step() -> None:
    with pytest.raises(QuestionError, match=r"'z'.*use one of: y"):
        _template(slips=(Slip("z", "n", "lost its way", "there is no such step"),))


def test_a_template_without_enough_mistakes_says_so() -> None:
    with pytest.raises(QuestionError, match="widen its parameters"):
        _template(slips=(Slip("y", "n", "forgot to double", "it is twice the number"),)).item("train", 0)


def test_a_name_is_registered_once() -> None:
    with pytest.raises(QuestionError, match="registered twice"):
        register(EVERY[0])


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (3, "3"),
        (3.0, "3"),
        (0.00123456, "0.001235"),
        (12345.67, "12350"),
        (1e-7, "1e-07"),
        (2.5e12, "2.5e+12"),
    ],
)
def test_values_are_shown_with_four_digits(value: float, shown: str) -> None:
    assert _template().shown(value) == shown


@choice_template
def test_ground_truth_does_not_show_in_a_repr(template: Template) -> None:
    question = template.item("train", 0)
    for hidden in (question.solution, *(mistake.reasoning for mistake in question.mistakes)):
        assert hidden is not None
        assert hidden not in repr(question)
    assert "answer=" not in repr(question)
