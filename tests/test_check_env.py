"""check_env passes every id and what keeps the contract, and names what a broken environment must mend."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import gymnasium as gym
import pytest
from gymnasium.error import ResetNeeded
from support.scripted import Coach, choice_question, numeric_question

from envs_registry import IDS
from socratic_env import Question, SocraticEnv, Verdict
from socratic_env.checks import check_env
from socratic_env.envs.discrete import DiscreteView
from socratic_env.errors import CheckError, TeacherError
from socratic_env.rewards import BatchStatistics
from socratic_env.verifiers import choice

pytestmark = pytest.mark.timeout(120)
QUESTIONS = [choice_question(f"q{i}", answer="ABCD"[i % 4]) for i in range(16)]
SECRET = [replace(question, solution="the secret solution") for question in QUESTIONS]

Step = tuple[str, float, bool, bool, dict[str, Any]]


# -- what passes ---------------------------------------------------------------------------


@pytest.mark.parametrize("entry", IDS, ids=lambda entry: entry.id)
def test_every_id_passes(entry: Any) -> None:
    check_env(entry.id)


def test_the_text_environment_of_a_view_is_checked_too() -> None:
    check_env(DiscreteView(SocraticEnv(questions=QUESTIONS)))
    with pytest.raises(CheckError, match=r"^DiscreteView: info\['label'\] tells the right answer"):
        check_env(DiscreteView(TellsAnswer(questions=QUESTIONS)))


@pytest.mark.parametrize("max_attempts", [1, 2, 4])
@pytest.mark.parametrize("reward", ["decay", "full", "constant:0.5"])
def test_every_k_and_reward_passes(max_attempts: int, reward: str) -> None:
    env = SocraticEnv(questions=QUESTIONS, max_attempts=max_attempts, reward=reward)
    check_env(env, max_attempts=max_attempts)
    env.reset(seed=0)  # it was left open


def test_numeric_questions_and_failing_teachers_pass() -> None:
    check_env(SocraticEnv(questions=[replace(numeric_question(str(i)), id=f"n{i}") for i in range(9)]))
    check_env(
        SocraticEnv(questions=QUESTIONS, teacher=Coach(lambda *_: True), on_teacher_failure="retry_prompt")
    )


@pytest.mark.parametrize("longest", [300, 800, 900, 1200])
def test_dialogues_that_grow_too_long_pass(longest: int) -> None:
    if longest > 300:  # Gymnasium's checker wants a second step
        check_env(SocraticEnv(max_context_chars=longest, max_attempts=3), max_attempts=3)
    check_env(SocraticEnv(questions=QUESTIONS, max_context_chars=longest, max_attempts=9), max_attempts=9)


class Politer(gym.Wrapper[str, str, str, str]):
    """Somebody's wrapper: a line before the dialogue, and a count in info."""

    def reset(self, **kwargs: Any) -> tuple[str, dict[str, Any]]:
        self.steps = 0
        observation, info = self.env.reset(**kwargs)
        return f"Please.\n{observation}", {**info, "steps": 0}

    def step(self, action: str) -> Step:
        self.steps += 1
        observation, reward, terminated, truncated, info = self.env.step(action)
        return f"Please.\n{observation}", float(reward), terminated, truncated, {**info, "steps": self.steps}


NUMBERS = [replace(numeric_question(str(i % 3)), id=f"n{i}") for i in range(40)]
INNOCENT: dict[str, Callable[[Question], tuple[str, dict[str, Any]]]] = {
    "an example of the form": lambda q: ("\nSuch as: <answer>\nB\n</answer>", {"form": "The answer is A."}),
    "a constant": lambda q: ("\nAttempt 1 of 2.", {"tries": 2, "left": 1}),
    "all letters": lambda q: (
        f"\nAnswer {q.letters} in row {q.id}.",
        {"order": sorted(q.letters, key=q.id.find), "size": dict.fromkeys(q.letters, q.id)},
    ),
    "the row": lambda q: ("", {"row": 100 + int(q.id[1:]), "uid": f"row {q.id}"}),
    "a property": lambda q: ("", {"odd": int(q.id[1:]) % 2, "size": int(q.id[1:]) // 4}),
}


@pytest.mark.parametrize("name", INNOCENT)
def test_what_tells_nothing_passes(name: str) -> None:
    for questions in (QUESTIONS, NUMBERS, NUMBERS[:3], [NUMBERS[1]]):
        check_env(Tells(INNOCENT[name], questions))


@pytest.mark.parametrize("max_attempts", [2, 3])
def test_counts_of_gymnasiums_wrappers_pass(max_attempts: int) -> None:
    for questions in (QUESTIONS, NUMBERS, [NUMBERS[1]]):
        env = SocraticEnv(questions=questions, max_attempts=max_attempts)
        check_env(gym.wrappers.RecordEpisodeStatistics(env))


class Renamed(SocraticEnv):
    """Somebody's subclass."""


def test_wrappers_and_subclasses_pass() -> None:
    check_env(Politer(SocraticEnv(questions=QUESTIONS)))
    check_env(Renamed(questions=QUESTIONS))
    check_env(gym.make("SocraticPhysics-v0", max_attempts=3), max_attempts=3)


def bracket(question: Question, text: str) -> Verdict:
    """A verifier of another form: [[B]]."""
    if not (text.startswith("[[") and text.endswith("]]")):
        return Verdict(False, None, "no brackets")
    return choice(question, f"<answer>{text[2:-2]}</answer>")


def test_another_form_of_reply_passes() -> None:
    env = SocraticEnv(questions=QUESTIONS, verifier=bracket)
    check_env(env, form=lambda reasoning, answer: f"[[{answer}]]")
    with pytest.raises(CheckError, match=r"it refuses the right answer .*or pass form="):
        check_env(env)


# -- what fails ----------------------------------------------------------------------------


class Broken(SocraticEnv):
    """Changes what a step or a reset gives."""

    def __init__(
        self,
        step: Callable[[Step], Step] = lambda given: given,
        reset: Callable[[tuple[str, dict[str, Any]]], tuple[str, dict[str, Any]]] = lambda given: given,
        questions: Any = QUESTIONS,
        **arguments: Any,
    ) -> None:
        super().__init__(questions=questions, **arguments)
        self._changed_step, self._changed_reset = step, reset

    def reset(self, **kwargs: Any) -> tuple[str, dict[str, Any]]:  # type: ignore[override]
        return self._changed_reset(super().reset(**kwargs))

    def step(self, action: str) -> Step:
        return self._changed_step(super().step(action))


def told(**changes: Any) -> dict[str, Any]:
    """Arguments of Broken with these entries in every info."""
    return {
        "step": lambda given: (*given[:4], {**given[4], **changes}),
        "reset": lambda given: (given[0], {**given[1], **changes}),
    }


def paid(reward: Any, bounds: Any = None) -> dict[str, Any]:
    """Arguments of Broken with this reward, and these bounds, after every step."""

    def step(given: Step) -> Step:
        info = given[4] if bounds is None else {**given[4], "reward_bounds": bounds}
        return given[0], reward, given[2], given[3], info

    return {"step": step}


def ended(terminated: bool, truncated: bool, stop: str | None) -> Callable[[Step], Step]:
    return lambda given: (given[0], given[1], terminated, truncated, {**given[4], "stop_reason": stop})


def without(key: str) -> dict[str, Any]:
    def drop(info: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in info.items() if name != key}

    return {
        "step": lambda given: (*given[:4], drop(given[4])),
        "reset": lambda given: (given[0], drop(given[1])),
    }


def tells_solution(given: Step) -> Step:
    messages = [*given[4]["messages"], {"role": "user", "content": SECRET[0].solution}]
    return (f"{given[0]}\n{SECRET[0].solution}", *given[1:4], {**given[4], "messages": messages})  # type: ignore[return-value]


class TellsAnswer(SocraticEnv):
    def reset(self, **kwargs: Any) -> tuple[str, dict[str, Any]]:  # type: ignore[override]
        observation, info = super().reset(**kwargs)
        return observation, {**info, "label": self.question.answer}


class Tells(SocraticEnv):
    """Adds to what is shown after reset what a function of the question gives: (text, info)."""

    def __init__(
        self, tells: Callable[[Question], tuple[str, dict[str, Any]]], questions: Any = None
    ) -> None:
        super().__init__(questions=QUESTIONS if questions is None else questions)
        self._tells = tells

    def reset(self, **kwargs: Any) -> tuple[str, dict[str, Any]]:  # type: ignore[override]
        observation, info = super().reset(**kwargs)
        text, more = self._tells(self.question)
        return observation + text, {**info, **more}


TELLS: dict[str, tuple[Callable[[Question], tuple[str, dict[str, Any]]], str]] = {
    "the observation": (lambda q: (f"\n(key: the answer is {q.answer})", {}), "the observation after reset"),
    "a hint": (lambda q: ("", {"hint": f"it is {q.answer}"}), r"info\['hint'\]"),
    "a list of hints": (lambda q: ("", {"hints": ["Think.", f"Option {q.answer}."]}), r"info\['hints'\]"),
    "a number": (lambda q: ("", {"gold_index": "ABCD".index(q.answer)}), r"info\['gold_index'\]"),
    "a number within": (lambda q: ("", {"more": {"k": "wxyz"["ABCD".index(q.answer)]}}), r"info\['more'\]"),
}


class Forgets(SocraticEnv):
    """Takes its next remark off a list that is empty at the end."""

    def step(self, action: str) -> Step:
        if self.dialogue.stop is not None:
            [].pop()
        return super().step(action)


class GoesOn(SocraticEnv):
    """Takes steps after the end."""

    last: Step

    def step(self, action: str) -> Step:
        try:
            self.last = super().step(action)
        except ResetNeeded:
            if self._session._dialogue is None:
                raise
        return self.last


class Unready(SocraticEnv):
    """Has no counter before the first reset."""

    def reset(self, **kwargs: Any) -> tuple[str, dict[str, Any]]:  # type: ignore[override]
        self.steps = 0
        return super().reset(**kwargs)

    def step(self, action: str) -> Step:
        self.steps += 1
        return super().step(action)


class StepsUnreset(SocraticEnv):
    def step(self, action: str) -> Step:
        if self._session._dialogue is None:
            self.reset(seed=0)
        return super().step(action)


class NeverEnds(SocraticEnv):
    def __init__(self) -> None:
        super().__init__(questions=QUESTIONS, max_attempts=10**6)


class CountsTwice(SocraticEnv):
    def step(self, action: str) -> Step:
        *rest, info = super().step(action)
        return (*rest, {**info, "attempt": 2 * info["attempt"]})  # type: ignore[return-value]


class Unseeded(SocraticEnv):
    """Asks the same question for every seed."""

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[str, dict[str, Any]]:
        return super().reset(seed=seed, options={"question_id": QUESTIONS[0].id, **(options or {})})


class Deaf(SocraticEnv):
    """Does not hear the option question_id, or knows some of the ids only."""

    def __init__(self, questions: Any, known: tuple[str, ...] | None = None) -> None:
        super().__init__(questions=questions)
        self._known = known and {question_id: {"question_id": question_id} for question_id in known}

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[str, dict[str, Any]]:
        wanted = (options or {}).get("question_id")
        return super().reset(seed=seed, options=self._known[wanted] if self._known and wanted else None)


class Tolerant(SocraticEnv):
    """Knows any option."""

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[str, dict[str, Any]]:
        known = {key: value for key, value in (options or {}).items() if key == "question_id"}
        return super().reset(seed=seed, options=known)


class Remembers(SocraticEnv):
    """Counts the second attempts of its life in info."""

    life = 0

    def step(self, action: str) -> Step:
        *rest, info = super().step(action)
        self.life += info["attempt"] == 2
        return (*rest, {**info, "life": self.life})  # type: ignore[return-value]


class ReadsNumbers(SocraticEnv):
    def step(self, action: str) -> Step:
        return super().step(str(action))


class Fragile(SocraticEnv):
    def step(self, action: str) -> Step:
        if "\ud800" in action:
            raise UnicodeError("half a character")
        return super().step(action)


class Questionless(SocraticEnv):
    @property
    def question(self) -> Any:
        raise AttributeError("question")


def accepts_all(question: Question, text: str) -> Verdict:
    return Verdict(True, "A", "fine")


def reads_what_was_not_said(question: Question, text: str) -> Verdict:
    given = choice(question, text)
    return given if given.answer else replace(given, answer="B")


class Silent(Coach):
    """A teacher that says nothing."""

    def _one(self, request: Any) -> Any:
        return replace(super()._one(request), text="")


def wrong_stop(given: Step) -> Step:
    return ended(True, False, "tired")(given) if given[2] else given


def goes_on_after_right(given: Step) -> Step:
    return ended(False, False, None)(given) if given[4]["correct"] else given


BROKEN: dict[str, tuple[Callable[[], gym.Env[str, str]], str]] = {
    "no text": (
        lambda: Broken(reset=lambda given: (given[0].encode(), given[1])),
        "Gymnasium's check_env says",
    ),
    "a global of its own": (
        lambda: Remembers(questions=QUESTIONS),
        r"gave, at step 1, info\['life'\] 3 and then 5; keep no state",
    ),
    "info lacks a key": (lambda: Broken(**without("verdict")), "info lacks 'verdict'; give all of"),
    "a wrong type": (lambda: Broken(**told(domain=3)), r"info\['domain'\] is 3; make it str"),
    "no JSON": (lambda: Broken(**told(more={1, 2})), "is no JSON .*give texts, numbers"),
    "a broken message": (lambda: Broken(**told(messages=[{"role": "user"}])), "holds {'role': 'user'}; give"),
    "other messages": (
        lambda: Broken(**told(messages=[{"role": "user", "content": "Hello!"}])),
        "the observation does not hold info",
    ),
    "an answer at reset": (lambda: Broken(reset=told(verdict="wrong")["reset"]), "info says after reset"),
    "no question shown": (
        lambda: Broken(reset=lambda given: ("Go.", {**given[1], "messages": []})),
        "does not hold the question",
    ),
    "another id": (lambda: Broken(reset=told(question_id="x")["reset"]), r"info\['question_id'\] is 'x'"),
    "flags that are numbers": (
        lambda: Broken(lambda given: (*given[:2], int(given[2]), *given[3:])),
        "terminated|Gymnasium",  # type: ignore[arg-type]
    ),
    "both flags": (
        lambda: Broken(lambda given: ended(given[2], given[2], "solved" if given[2] else None)(given)),
        "both terminated and truncated",
    ),
    "an end without a reason": (
        lambda: Broken(lambda given: ended(given[2], False, None)(given)),
        "stop_reason is None, terminated True",
    ),
    "a reason without an end": (
        lambda: Broken(lambda given: ended(given[2], False, "solved")(given)),
        "stop_reason is 'solved', term",
    ),
    "a reason of its own": (lambda: Broken(wrong_stop), "stop_reason is 'tired'; a terminated episode has"),
    "no end when right": (lambda: Broken(goes_on_after_right), "a right answer did not end the episode"),
    "a text as reward": (lambda: Broken(**paid("1")), "the reward is '1'|Gymnasium"),
    "broken bounds": (lambda: Broken(**paid(0.0, (0.5, 0.2))), r"reward_bounds is \(0.5, 0.2\); give"),
    "bounds of three": (lambda: Broken(**paid(0.0, (0.0, 0.0, 0.0))), "give .lo, hi. with"),
    "pay for a wrong answer": (lambda: Broken(**paid(0.1)), "a wrong answer earned 0.1"),
    "pay outside its bounds": (
        lambda: Broken(lambda given: (given[0], given[1] / 2, *given[2:])),
        "the reward 0.5 is outside its bounds",
    ),
    "steps after the end": (
        lambda: GoesOn(questions=QUESTIONS),
        "step after the end of an episode is allowed",
    ),
    "no end": (NeverEnds, "1000 wrong attempts do not end an episode"),
    "steps counted twice": (
        lambda: CountsTwice(questions=QUESTIONS),
        r"info\['attempt'\] is 2 after 1 attempts",
    ),
    "silence": (lambda: Broken(teacher=Silent()), "there is no guidance after a wrong answer"),
    "all is right": (lambda: Broken(verifier=accepts_all), "it takes a wrong answer for right"),
    "invented answers": (lambda: Broken(verifier=reads_what_was_not_said), "which the student did not say"),
    "no answer read": (
        lambda: Broken(step=lambda given: (*given[:4], {**given[4], "answer": None})),
        "is None after a right answer",
    ),
    "a crash": (lambda: Fragile(questions=QUESTIONS), "step raised UnicodeError: half a character"),
    "numbers as replies": (
        lambda: ReadsNumbers(questions=QUESTIONS),
        "it takes a number for a reply; raise an error",
    ),
    "no question": (
        lambda: Questionless(questions=QUESTIONS),
        "it has no attribute 'question'; give the current",
    ),
    "one question": (
        lambda: Unseeded(questions=QUESTIONS),
        "8 seeds draw the same question; draw by self.np_random",
    ),
    "deaf to the option": (lambda: Deaf(questions=QUESTIONS), "gives 'q"),
    "any option": (lambda: Tolerant(questions=QUESTIONS), "'no such option': 1}. is taken; raise an error"),
    "the solution shown": (lambda: Broken(tells_solution, questions=SECRET), "is shown the solution of"),
    "the answer in info": (
        lambda: TellsAnswer(questions=QUESTIONS),
        r"info\['label'\] tells the right answer; leave it out",
    ),
    **{
        f"the answer in {what}": (lambda tells=tells: Tells(tells), says + " tells the right answer")
        for what, (tells, says) in TELLS.items()
    },
    "no pay": (lambda: Broken(**paid(0.0, (0.0, 0.0))), "a right first attempt earned 0; it earns 1"),
    "a crash at the end": (
        lambda: Forgets(questions=QUESTIONS),
        "step after the end of an episode raised IndexError",
    ),
    "a crash at the option": (
        lambda: Deaf(questions=QUESTIONS, known=("q0",)),
        r"reset\({'options': {'question_id': 'q\d+'}}\) raised KeyError: .*take any seed",
    ),
    "a tracker": (
        lambda: SocraticEnv(questions=QUESTIONS, tracker=BatchStatistics(2)),
        r"gave, at step 2, reward 0\.\d+ and then 0\.\d+; keep no state .* and tracker=None",
    ),
    "a tracker of a known batch": (
        lambda: SocraticEnv(questions=QUESTIONS, tracker=BatchStatistics(2, batch_size=3)),
        "a first attempt came in after all 3 .*with tracker=None",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_environment_is_told_the_remedy(name: str) -> None:
    make, says = BROKEN[name]
    env = make()
    with pytest.raises(CheckError, match=f"^{type(env).__name__}: .*(?:{says})"):
        check_env(env)


def test_a_bare_digit_that_goes_with_the_answer_is_named() -> None:
    with pytest.raises(CheckError, match="the observation after reset tells the right answer"):
        check_env(Tells(lambda q: (f" [{q.answer}]", {}), NUMBERS))


def test_the_place_of_a_difference_is_shown() -> None:
    class Numbered(SocraticEnv):
        steps = 0

        def step(self, action: str) -> Step:
            self.steps += "I work it out" in action
            observation, *rest = super().step(action)
            return (f"{observation}\nThis is remark {self.steps // 9}.", *rest)  # type: ignore[return-value]

    with pytest.raises(
        CheckError, match=r"observation .{,14}This is remark 0.' and then .{,14}This is remark 1"
    ):
        check_env(Numbered(questions=QUESTIONS))


def test_another_k_is_named() -> None:
    with pytest.raises(CheckError, match="it ended after 2 wrong attempts, but K is 3"):
        check_env(SocraticEnv(questions=QUESTIONS), max_attempts=3)


def test_what_is_no_environment_is_told_so() -> None:
    with pytest.raises(CheckError, match="env is 7; give an id, or an object"):
        check_env(7)  # type: ignore[arg-type]
    with pytest.raises(
        CheckError, match=r"^CartPole-v1: it is no text environment: its observation_space is a Box"
    ):
        check_env("CartPole-v1")
    with pytest.raises(gym.error.Error):
        check_env("NoSuch-v0")


# -- registered ones -----------------------------------------------------------------------


class RendersNothing(SocraticEnv):
    def render(self) -> str | None:
        return "a page" if self.render_mode == "ansi" else None


class Mute(SocraticEnv):
    metadata = {"render_modes": [], "render_fps": 1}


class Counted(SocraticEnv):
    """Each one made asks for the next question."""

    made = 0

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        Counted.made += 1
        self.number = Counted.made

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[str, dict[str, Any]]:
        return super().reset(seed=None if seed is None else seed + self.number, options=options)


REGISTERED: dict[str, tuple[type[SocraticEnv], dict[str, Any], str]] = {
    "fine": (Renamed, {"questions": "concepts"}, ""),
    "steps before reset": (StepsUnreset, {}, "step before reset is allowed"),
    "no counter before reset": (Unready, {}, "step before reset raised AttributeError: .*ResetNeeded"),
    "renders another thing": (RendersNothing, {}, "render in mode 'ansi' gives 'a page'"),
    "renders nothing": (Mute, {}, "lacks 'ansi'|Gymnasium"),
    "a function in its spec": (Renamed, {"verifier": lambda q, t: choice(q, t)}, "does not survive pickling"),
    "another copy": (Counted, {"questions": QUESTIONS}, "a copy of its spec makes another environment"),
}


@pytest.fixture
def registered(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    made, arguments, says = REGISTERED[request.param]
    gym.register("Mine-v0", entry_point=made, kwargs=arguments, order_enforce=False)
    yield "Mine-v0", says
    del gym.registry["Mine-v0"]


@pytest.mark.parametrize("registered", REGISTERED, indirect=True)
def test_a_registered_environment_is_checked_by_its_id(registered: tuple[str, str]) -> None:
    env_id, says = registered
    if not says:
        check_env(env_id)
        return
    with pytest.raises(CheckError, match=f"^Mine-v0: .*(?:{says})"):
        check_env(env_id)


def test_an_error_of_this_package_names_its_own_remedy() -> None:
    down = SocraticEnv(questions=QUESTIONS, teacher=Coach(lambda *_: True), on_teacher_failure="raise")
    with pytest.raises(TeacherError, match="no guidance on q"):
        check_env(down)


def test_a_broken_double_without_its_change_passes() -> None:
    check_env(Broken())
