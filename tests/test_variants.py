"""Variants as ids, and what the interaction does with guidance that leaks."""

import asyncio
from dataclasses import replace

import gymnasium as gym
import pytest
from support.scripted import choice_question, mistake, wrong

import envs_registry
from socratic_env import Guidance, Teacher
from socratic_env.engine.arguments import EnvArguments
from socratic_env.engine.guided import GuidedInteraction
from socratic_env.engine.interaction import LEAK_WARNING, SAFE_HINT
from socratic_env.errors import ConfigurationError, TeacherError
from socratic_env.protocols import parse_protocol, protocol, protocols
from socratic_env.teachers.retry_teacher import RETRY_PROMPT
from socratic_env.teachers.rule_teacher import hint
from socratic_env.types import Usage, reply

QUESTION = choice_question(answer="B")


class Says(Teacher):
    """Gives these texts or faults, one a call; remembers the prompts."""

    def __init__(self, *texts):
        self.texts, self.prompts = list(texts), []

    async def guide(self, requests):
        self.prompts += [request.protocol.prompt for request in requests]
        said = self.texts.pop(0)
        usage = Usage(calls=1)
        given = (
            Guidance(fault=said, usage=usage) if isinstance(said, Exception) else Guidance(said, usage=usage)
        )
        return [given for _ in requests]


def guided(teacher, **changes):
    """(guidance, interaction) after one wrong answer under the paper's protocol with these changes."""
    interaction = GuidedInteraction(
        EnvArguments(teacher=teacher, protocol=replace(protocol("paper"), **changes))
    )
    dialogue = interaction.answer(interaction.open(QUESTION), wrong(QUESTION))
    (dialogue,) = asyncio.run(interaction.advise([dialogue]))
    return dialogue.attempts[-1].guidance, interaction


# -- ids ---------------------------------------------------------------------------------

ASKED_FOR = {
    "Paper", "WithGroundTruth", "WithReferenceSolution", "FixedRetry", "LocateError", "OneQuestion",
    "WorkedNextStep", "MisconceptionFirst",
}  # fmt: skip


def test_there_is_an_id_for_every_protocol_file():
    ids = {entry.id for entry in envs_registry.IDS}
    assert {f"SocraticSciKnow-{name}-v0" for name in ASKED_FOR} <= ids
    assert len(envs_registry.variant_ids()) == len(envs_registry.protocol_texts()) == len(protocols())
    assert len(ids) == len(envs_registry.IDS)


def test_adding_a_file_adds_an_id(monkeypatch):
    texts = {**envs_registry.protocol_texts(), "my_own-way2": "---\nsummary: mine\n---\nTeach."}
    monkeypatch.setattr(envs_registry, "protocol_texts", lambda: texts)
    (entry,) = [e for e in envs_registry.variant_ids() if e.kwargs == {"protocol": "my_own-way2"}]
    assert entry.id == "SocraticSciKnow-MyOwnWay2-v0"
    assert "mine" in entry.summary


@pytest.mark.parametrize("entry", envs_registry.variant_ids(), ids=lambda entry: entry.id)
def test_an_id_teaches_by_its_protocol(entry):
    env = gym.make(entry.id)
    env.reset(seed=1)
    assert env.unwrapped.interaction.protocol.name == entry.kwargs["protocol"]
    question = env.unwrapped.question
    told = env.step(wrong(question))[-1]["guidance"]
    slip, taught = question.mistakes[0], env.unwrapped.interaction.protocol
    assert told == (
        taught.fixed or " ".join(hint(question, slip, strength) for strength in taught.rule_hints)
    )
    assert len(told) <= taught.max_guidance_chars


@pytest.mark.parametrize(("one", "other"), [
    ("SocraticSciKnow-v0", "SocraticSciKnow-Paper-v0"),
    ("SocraticSciKnow-NoTeacher-v0", "SocraticSciKnow-FixedRetry-v0"),
])  # fmt: skip
def test_two_ids_of_one_environment_say_so(one, other):
    (summary,) = [entry.summary for entry in envs_registry.IDS if entry.id == other]
    assert summary.startswith(f"variant: the same as {one}, ")
    for seed in range(5):
        seen = []
        for name in (one, other):
            env = gym.make(name, max_attempts=3)
            seen.append([env.reset(seed=seed)])
            right = reply("", env.unwrapped.question.answer)
            seen[-1] += [env.step(text) for text in (wrong(env.unwrapped.question), "", right)]
            seen[-1].append(env.unwrapped.usage)
        assert seen[0] == seen[1]


def test_the_switches_are_those_of_the_paper_and_its_ablations():
    found = {name: (v.dialogue, v.ground_truth, v.reference_solution) for name, v in protocols().items()}
    assert found["paper"] == ("last", False, False)
    assert found["with_ground_truth"] == ("last", True, False)
    assert found["with_reference_solution"] == ("last", False, True)
    assert found["one_question"] == ("whole", False, False)
    with_truth = {name for name, (_, truth, solution) in found.items() if truth or solution}
    assert with_truth == {"with_ground_truth", "with_reference_solution", "leak_answer"}


def test_only_the_switch_differs_from_the_papers_protocol():
    paper = protocol("paper")
    for name, switch in (
        ("with_ground_truth", "ground_truth"),
        ("with_reference_solution", "reference_solution"),
    ):
        assert replace(protocol(name), name="paper", summary=paper.summary, **{switch: False}) == paper


def test_the_fixed_retry_asks_no_teacher():
    assert protocol("fixed_retry").fixed == RETRY_PROMPT
    teacher = Says()
    guidance, interaction = guided(teacher, fixed=RETRY_PROMPT)
    assert (guidance.text, teacher.prompts, interaction.usage["teacher"].calls) == (RETRY_PROMPT, [], 0)


@pytest.mark.parametrize(
    ("locate", "asked"),
    [
        ("Look again at the volume.", "Which rule gives the volume, and does your line follow it?"),
        ("check max", "check max: which rule holds there, and does your line follow it?"),
    ],
)
def test_the_question_is_derived_from_the_place(locate, asked):
    assert replace(mistake("A"), locate=locate).ask == asked


@pytest.mark.parametrize(
    ("line", "message"), [("on_leak: hide", "on_leak is 'hide'"), ("fixed: 3", "fixed is 3")]
)
def test_wrong_switches_are_named(line, message):
    with pytest.raises(ConfigurationError, match=message):
        parse_protocol("mine", f"---\nsummary: s\n{line}\n---\nTeach.")


# -- guidance that leaks -----------------------------------------------------------------

LEAK, CLEAN = "The answer is B.", "Think again."


def test_leaks_are_recorded_and_kept_by_default():
    guidance, _ = guided(Says(LEAK))
    assert (guidance.text, guidance.leaks, guidance.blocked) == (LEAK, ("letter",), False)
    assert guided(Says(CLEAN))[0].leaks == ()


def test_a_leak_is_replaced_by_a_safe_hint():
    guidance, _ = guided(Says(LEAK), on_leak="replace")
    assert (guidance.text, guidance.leaks, guidance.blocked) == (SAFE_HINT, ("letter",), True)


@pytest.mark.parametrize(
    ("second", "text", "leaks", "blocked"),
    [
        (CLEAN, CLEAN, (), False),
        ("Choose B.", SAFE_HINT, ("letter",), True),
        (TeacherError("gone"), SAFE_HINT, ("letter",), True),
    ],
)
def test_a_leak_is_asked_for_once_more(second, text, leaks, blocked):
    teacher = Says(LEAK, second)
    guidance, interaction = guided(teacher, on_leak="ask_again")
    assert (guidance.text, guidance.leaks, guidance.blocked) == (text, leaks, blocked)
    assert [LEAK_WARNING in prompt for prompt in teacher.prompts] == [False, True]
    assert interaction.usage["teacher"].calls == 2


def test_clean_guidance_is_not_asked_for_again():
    teacher = Says(CLEAN)
    guided(teacher, on_leak="ask_again")
    assert len(teacher.prompts) == 1


def test_what_is_cut_off_does_not_leak():
    guidance, _ = guided(Says(f"{CLEAN} {LEAK}"), max_guidance_chars=len(CLEAN))
    assert (guidance.leaks, guidance.truncated) == ((), True)


def test_information_says_nothing_of_leaks():
    env = gym.make("SocraticSciKnow-v0", questions=[QUESTION], teacher=Says(LEAK))
    env.reset(seed=0)
    info = env.step(wrong(QUESTION))[-1]
    assert not {"leaks", "blocked"} & set(info)
