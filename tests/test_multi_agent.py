"""Student and teacher as PettingZoo agents: the same episodes as in Gymnasium, and the teacher's pay."""

import copy
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import pytest
from pettingzoo import AECEnv, ParallelEnv
from pettingzoo.test import api_test, parallel_api_test, parallel_seed_test, seed_test
from support.scripted import Coach, choice_question, right, says, wrong

import socratic_env
from socratic_env import BatchStatistics, Guidance, Teacher, multi_agent
from socratic_env.dialogue import transcript
from socratic_env.engine.interaction import LEAK_WARNING, SAFE_HINT
from socratic_env.errors import (
    ActionError,
    ConfigurationError,
    QuestionError,
    StepError,
    TeacherReplyError,
    TeacherTimeout,
    TrackerError,
)
from socratic_env.protocols import protocol, protocols, teacher_messages
from socratic_env.teachers import from_spec
from socratic_env.types import StopReason, Usage

STUDENT, TEACHER = "student_0", "teacher_0"
QUESTIONS = [choice_question(f"q{i}", answer="ABCD"[i % 4]) for i in range(8)]
QUESTION = choice_question(answer="B")
LEAK, CLEAN = "The answer is B.", "Think again."
REPLACES, ASKS_AGAIN = (replace(protocol("paper"), on_leak=each) for each in ("replace", "ask_again"))

pytestmark = [
    pytest.mark.filterwarnings("error", "ignore::socratic_env.errors.TeacherFaultWarning"),
    # What PettingZoo's own tests say of every environment of texts, and do to every one.
    pytest.mark.filterwarnings("ignore:Observation is not a NumPy array"),
    pytest.mark.filterwarnings("ignore:(Observation|Action) space for each agent probably should be"),
    pytest.mark.filterwarnings("ignore:unknown reset option 'options'"),
]


class Says(Teacher):
    """These texts or faults in turn, over and over."""

    def __init__(self, *said):
        self.said, self.calls = said, 0

    async def guide(self, requests):
        out = []
        for _ in requests:
            said = self.said[self.calls % len(self.said)]
            self.calls += 1
            if isinstance(said, Exception):
                raise said
            out.append(Guidance(said, usage=Usage(calls=1, completion_tokens=len(said))))
        return out


def taught(*acts, **kwargs):
    """The environment after these acts on QUESTION (a verdict or a guidance), and all rewards."""
    env = multi_agent.env(questions=[QUESTION], **kwargs)
    env.reset(seed=0)
    paid = []
    for act in acts:
        env.step(says(QUESTION, act) if isinstance(act, bool) else act)
        paid.append((env.rewards[STUDENT], env.rewards[TEACHER]))
    return env, paid


def teacher_pay(*acts, **kwargs):
    """What the teacher earned in each step."""
    return [pay for _, pay in taught(*acts, **kwargs)[1]]


# -- PettingZoo's own tests --------------------------------------------------------------

FORMS = {name: {"protocol": name} for name in protocols()} | {
    "replaces": {"protocol": REPLACES},
    "asks_again": {"protocol": ASKS_AGAIN},
    "short": {"max_context_chars": 700},
    "full": {"reward": "full", "teacher_baseline": True},
}


@pytest.mark.parametrize("max_attempts", [1, 2, 3])
@pytest.mark.parametrize("form", FORMS)
def test_the_api_is_that_of_pettingzoo(form, max_attempts):
    def make():
        return multi_agent.env(**FORMS[form], max_attempts=max_attempts)

    def make_parallel():
        return multi_agent.parallel_env(**FORMS[form], max_attempts=max_attempts)

    api_test(make(), num_cycles=20)
    seed_test(make, num_cycles=20)
    parallel_api_test(make_parallel(), num_cycles=20)
    parallel_seed_test(make_parallel, num_cycles=20)


def test_names_and_spaces():
    env, parallel = multi_agent.env(max_attempts=3), multi_agent.parallel_env(max_attempts=3)
    assert isinstance(env, AECEnv)
    assert isinstance(parallel, ParallelEnv)
    assert env.metadata["name"] == "socratic_sciknow_v0"
    for each in (env, parallel):
        assert each.possible_agents == [STUDENT, TEACHER]
        for agent in each.possible_agents:
            assert set(each.observation_space(agent)) == {"dialogue", "attempt"}
            assert each.observation_space(agent)["attempt"].n == 4
            assert each.action_space(agent).contains("Gr\u00fc\u00dfe")


# -- golden: Gymnasium = AEC = parallel --------------------------------------------------


def bare(info):
    """The student's information as Gymnasium's."""
    assert info["active_agent"] in (STUDENT, None)
    return {key: value for key, value in info.items() if key != "active_agent"}


class Single:
    """The Gymnasium environment."""

    def __init__(self, teacher, **kwargs):
        self.env = gym.make("SocraticSciKnow-v0", teacher=teacher, **kwargs)

    def reset(self, seed):
        return self.env.reset(seed=seed)

    def step(self, text):
        return self.env.step(text)


class TurnByTurn:
    """The AEC environment with a Teacher object in the teacher's seat."""

    def __init__(self, teacher, **kwargs):
        self.env, self.teacher = multi_agent.env(**kwargs), teacher

    def reset(self, seed):
        self.env.reset(seed=seed)
        observation, _, _, _, info = self.env.last()
        return observation["dialogue"], bare(info)

    def step(self, text):
        self.env.step(text)
        reward = self.env.rewards[STUDENT]
        while self.env.agent_selection == TEACHER:
            self.env.step(multi_agent.guide(self.env, self.teacher))
        observation, _, terminated, truncated, info = self.env.last()
        return observation["dialogue"], reward, terminated, truncated, bare(info)


class Parallel:
    """The parallel environment; the agent that waits talks all the same."""

    def __init__(self, teacher, **kwargs):
        self.env, self.teacher = multi_agent.parallel_env(**kwargs), teacher

    def reset(self, seed):
        observations, infos = self.env.reset(seed=seed)
        return observations[STUDENT]["dialogue"], bare(infos[STUDENT])

    def step(self, text):
        result = self.env.step({STUDENT: text, TEACHER: "I say something out of turn."})
        reward = result[1][STUDENT]
        while result[4][TEACHER]["active_agent"] == TEACHER:
            guidance = multi_agent.guide(self.env, self.teacher)
            result = self.env.step({STUDENT: "me too", TEACHER: guidance})
        observations, _, terminated, truncated, infos = result
        seen = observations[STUDENT]["dialogue"], bare(infos[STUDENT])
        return seen[0], reward, terminated[STUDENT], truncated[STUDENT], seen[1]


def batch(face, teacher, tracker, rows=8, rounds=4, **kwargs):
    """All that the student of several environments in lockstep sees, and the guidance kept on them."""
    envs = [face(teacher(), **kwargs) for _ in range(rows)]
    rng, log = random.Random(0), []
    for number in range(rounds):
        shared = None if tracker is None else tracker()
        for row, each in enumerate(envs):
            if shared is not None:
                each.env.reset(options={"tracker": shared})
            log.append(each.reset(None if number in (1, 2) else row + number))
        active = list(envs)
        while active:
            for each in list(active):
                world = each.env.unwrapped
                result = each.step(says(world.question, rng.random() < 0.4, rng.randrange(3)))
                told = [a.guidance for a in world.dialogue.attempts]
                log.append((result, [g and (g.text, g.leaks, g.blocked, repr(g.fault)) for g in told]))
                if result[2] or result[3]:
                    active.remove(each)
        log.append(None if shared is None else (shared.attempts, shared.solved, shared.means()))
    return log, [each.env.unwrapped.usage for each in envs]


def rule():
    return from_spec("rule")


SEATS = {
    "rule": (rule, {}),
    "hints of another protocol": (rule, {"protocol": "misconception_first"}),
    "a short protocol": (rule, {"protocol": replace(protocol("paper"), max_guidance_chars=9)}),
    "a fixed text": (rule, {"protocol": "fixed_retry"}),
    "no room": (rule, {"max_context_chars": 1200}),
    "faults": (lambda: Coach(lambda name, attempt: attempt == 2), {}),
    "raised faults": (lambda: Says(CLEAN, TeacherTimeout("too late")), {}),
    "leaks": (lambda: Says(CLEAN, LEAK), {"questions": QUESTIONS}),
    "leaks replaced": (lambda: Says(CLEAN, LEAK), {"questions": QUESTIONS, "protocol": REPLACES}),
    "leaks asked again": (
        lambda: Says(LEAK, CLEAN, LEAK, LEAK, LEAK, TeacherTimeout("late")),
        {"questions": QUESTIONS, "protocol": ASKS_AGAIN},
    ),
}
TRACKERS = {
    "rolling": lambda k: None,
    "tracker": lambda k: lambda: BatchStatistics(k),
    "known batch": lambda k: lambda: BatchStatistics(k, 8),
}


@pytest.mark.parametrize("face", [TurnByTurn, Parallel])
@pytest.mark.parametrize("max_attempts", [1, 2, 3])
@pytest.mark.parametrize("tracker", TRACKERS)
@pytest.mark.parametrize("reward", ["decay", "full", "constant:0.5"])
def test_episodes_and_student_rewards_are_those_of_gymnasium(reward, tracker, max_attempts, face):
    settings = {"max_attempts": max_attempts, "reward": reward}
    shared = TRACKERS[tracker](max_attempts)
    assert batch(face, rule, shared, **settings) == batch(Single, rule, shared, **settings)


@pytest.mark.parametrize("face", [TurnByTurn, Parallel])
@pytest.mark.parametrize("tracker", ["rolling", "known batch"])
@pytest.mark.parametrize("seat", SEATS)
def test_guidance_is_taken_as_in_gymnasium(seat, tracker, face):
    teacher, settings = SEATS[seat]
    shared = TRACKERS[tracker](3)
    assert batch(face, teacher, shared, max_attempts=3, **settings) == batch(
        Single, teacher, shared, max_attempts=3, **settings
    )


def test_the_golden_batches_hold_what_they_compare():
    """Else the two tests above could agree on nothing."""
    log, _ = batch(Single, rule, None, max_attempts=3)
    steps = [entry[0] for entry in log if entry is not None and isinstance(entry[0], tuple)]
    assert len({step[1] for step in steps}) > 3
    for seat, shown in {
        "no room": "context_limit",
        "faults": "teacher_failed",
        "leaks replaced": SAFE_HINT,
    }.items():
        teacher, settings = SEATS[seat]
        assert shown in repr(batch(Single, teacher, None, max_attempts=3, **settings)[0])


@pytest.mark.parametrize("baseline", [False, True])
def test_both_forms_pay_the_teacher_alike(baseline):
    settings = {"questions": QUESTIONS, "max_attempts": 3, "leak_penalty": 0.7, "teacher_baseline": baseline}
    env, parallel = multi_agent.env(**settings), multi_agent.parallel_env(**settings)
    rng, paid = random.Random(1), set()
    for seed in [0, *[None] * 20]:
        env.reset(seed=seed)
        parallel.reset(seed=seed)
        while parallel.agents:
            agent = env.agent_selection
            act = says(env.unwrapped.question, rng.random() < 0.3)
            act = act if agent == STUDENT else rng.choice([LEAK, CLEAN, CLEAN])
            env.step(act)
            _, rewards, terminations, _, infos = parallel.step({agent: act})
            assert (rewards, terminations) == (env.rewards, env.terminations)
            assert infos == env.infos
            paid.add(round(rewards[TEACHER], 9))
    assert len(paid) > 4 if baseline else paid == {0.0, 1.0, -0.7, 0.3}


# -- the teacher's pay -------------------------------------------------------------------


def test_guidance_is_paid_by_the_next_verdict_undecayed():
    env, paid = taught(False, CLEAN, False, CLEAN, True, max_attempts=3)
    assert paid == [(0, 0), (0, 0), (0, 0), (0, 0), (0, 1)]
    assert env.unwrapped.dialogue.stop is StopReason.SOLVED


@pytest.mark.parametrize(
    ("acts", "paid"),
    [
        ((False, LEAK, True), [0, 0, 0.75]),
        ((False, LEAK, False, CLEAN, True), [0, 0, -0.25, 0, 1]),
        ((False, CLEAN, False, LEAK, False), [0, 0, 0, 0, -0.25]),
        ((True,), [0]),
        ((False, CLEAN, True), [0, 0, 1]),
    ],
)
def test_a_leak_costs_its_penalty(acts, paid):
    assert teacher_pay(*acts, max_attempts=3, leak_penalty=0.25) == paid


def test_a_leak_costs_one_unless_another_penalty_is_given():
    assert teacher_pay(False, LEAK, True) == [0, 0, 0]
    assert teacher_pay(False, LEAK, False) == [0, 0, -1]
    assert teacher_pay(False, LEAK, True, leak_penalty=0) == [0, 0, 1]


def test_a_leak_that_the_student_did_not_see_costs_too():
    env, paid = taught(False, LEAK, False, protocol=REPLACES)
    assert SAFE_HINT in env.observe(STUDENT)["dialogue"]
    assert paid[-1] == (0, -1)


def test_a_leak_is_asked_for_once_more():
    env, _ = taught(False, max_attempts=3, protocol=ASKS_AGAIN)
    assert LEAK_WARNING not in env.observe(TEACHER)["dialogue"]
    env.step(LEAK)
    assert env.agent_selection == TEACHER
    assert LEAK_WARNING in env.observe(TEACHER)["dialogue"]
    assert LEAK_WARNING in env.infos[TEACHER]["messages"][0]["content"]
    assert LEAK not in env.observe(STUDENT)["dialogue"]
    env.step(CLEAN)
    assert (env.agent_selection, env.infos[TEACHER]["leaks"]) == (STUDENT, [])
    env.step(wrong(QUESTION))
    assert env.rewards[TEACHER] == 0
    assert LEAK_WARNING not in env.observe(TEACHER)["dialogue"]
    for _ in range(2):
        env.step(LEAK)
    assert env.infos[TEACHER]["guidance"] == SAFE_HINT
    env.step(right(QUESTION))
    assert env.rewards[TEACHER] == 0


def test_a_reset_forgets_a_leak():
    env, _ = taught(False, LEAK, protocol=ASKS_AGAIN)
    env.reset(seed=0)
    env.step(wrong(QUESTION))
    assert LEAK_WARNING not in env.observe(TEACHER)["dialogue"]


@pytest.mark.parametrize("blank", ["", " \n", Guidance(fault=TeacherTimeout("late"))])
def test_a_fault_ends_the_episode_and_earns_nothing(blank):
    env, paid = taught(False, LEAK, False, blank, max_attempts=3, teacher_baseline=True)
    assert paid[-1] == (0, 0)
    assert env.truncations == {STUDENT: True, TEACHER: True}
    assert env.terminations == {STUDENT: False, TEACHER: False}
    assert env.infos[STUDENT]["stop_reason"] == "teacher_failed"
    fault = env.unwrapped.dialogue.attempts[-1].guidance.fault
    assert isinstance(fault, TeacherReplyError if isinstance(blank, str) else TeacherTimeout)


def test_guidance_that_no_attempt_follows_earns_nothing():
    fits = len(QUESTION.system) + len(QUESTION.text) + len(wrong(QUESTION))
    env, paid = taught(False, LEAK, max_context_chars=fits)
    assert paid[-1] == (0, 0)
    assert env.infos[TEACHER]["stop_reason"] == "context_limit"


@pytest.mark.parametrize("settings", [{"protocol": "fixed_retry", "max_attempts": 3}, {"max_attempts": 1}])
def test_where_no_guidance_is_wanted_the_teacher_has_no_turn_and_no_pay(settings):
    env = multi_agent.env(questions=[QUESTION], **settings)
    env.reset(seed=0)
    for _ in range(settings["max_attempts"]):
        assert env.agent_selection == STUDENT
        env.step(wrong(QUESTION))
        assert env.rewards == {STUDENT: 0, TEACHER: 0}
    assert env.terminations == {STUDENT: True, TEACHER: True}


@pytest.mark.parametrize("shared", [False, True])
def test_the_baseline_is_the_correction_rate_before(shared):
    settings = {"tracker": BatchStatistics(3)} if shared else {}
    env = multi_agent.env(questions=[QUESTION], max_attempts=3, teacher_baseline=True, **settings)
    env.reset(seed=0)
    paid = []
    for verdicts in [(False, True), (True,), (False, False, True), (False, False, False)]:
        for number, correct in enumerate(verdicts):
            if number:
                env.step(CLEAN)
            env.step(says(QUESTION, correct))
            if number:
                paid.append(env.rewards[TEACHER])
        env.reset()
    rates = [0, 1 / 1, 1 / 2, 2 / 3, 2 / 4]
    assert paid == [pytest.approx(c - rate) for c, rate in zip([1, 0, 1, 0, 0], rates, strict=True)]


def test_last_gives_each_agent_what_it_earned_since_its_turn():
    env, _ = taught(False, LEAK, False, leak_penalty=0.5, max_attempts=3)
    assert env.last()[1:4] == (-0.5, False, False)
    env.step(LEAK)
    env.step(right(QUESTION))
    earned = {}
    for agent in env.agent_iter():
        _, earned[agent], terminated, _, _ = env.last()
        assert terminated
        env.step(None)
    assert earned == {STUDENT: 0.0, TEACHER: 0.5}
    assert env.agents == []


# -- what each agent sees ----------------------------------------------------------------


@pytest.mark.parametrize("name", protocols())
def test_the_teacher_sees_what_its_protocol_shows_on_its_turn(name):
    question = replace(QUESTION, solution="One sees it from the SOLUTION.")
    env = multi_agent.env(questions=[question], protocol=name, max_attempts=3)
    env.reset(seed=0)
    nothing = {"dialogue": "", "attempt": 0}
    assert env.observe(TEACHER) == nothing
    env.step(wrong(question))
    if protocol(name).fixed:
        assert env.observe(TEACHER) == nothing | {"attempt": 1}
        return
    env.step(CLEAN)
    assert env.observe(TEACHER) == nothing | {"attempt": 1}
    env.step("I am not sure. <answer>\nC\n</answer>")
    messages = teacher_messages(env.unwrapped.dialogue, protocol(name))
    assert env.infos[TEACHER]["messages"] == messages
    seen = env.observe(TEACHER)
    assert seen == {"dialogue": transcript(messages), "attempt": 2}
    assert "I am not sure" in seen["dialogue"]
    assert ("SOLUTION" in seen["dialogue"]) == protocol(name).reference_solution
    assert ("B: option 1" in seen["dialogue"].replace(question.text, "")) == protocol(name).ground_truth


@pytest.mark.parametrize("name", protocols())
def test_the_student_never_sees_the_ground_truth(name):
    """Two questions that differ in their truth alone look the same, in every state."""

    def seen(answer):
        question = replace(QUESTION, answer=answer, solution=f"SOLUTION {answer}")
        env = multi_agent.env(questions=[question], protocol=name, max_attempts=3)
        env.reset(seed=0)
        views = []
        for letter in "ACC":
            views.append((env.observe(STUDENT), env.infos[STUDENT]))
            env.step(f"<answer>\n{letter}\n</answer>")
            if env.agent_selection == TEACHER:
                views.append((env.observe(STUDENT), env.infos[STUDENT]))
                env.step("Think of the units.")
        return [*views, (env.observe(STUDENT), env.infos[STUDENT])]

    assert seen("B") == seen("D")


def test_the_information_of_the_teacher():
    env, _ = taught(False, LEAK)
    assert env.infos[TEACHER] == {
        "messages": [],
        "question_id": "q",
        "domain": "physics",
        "attempt": 1,
        "guidance": LEAK,
        "leaks": ["letter"],
        "teacher_fault": None,
        "verifier_fault": None,
        "stop_reason": None,
        "active_agent": STUDENT,
    }


def test_each_step_gives_fresh_objects():
    env, _ = taught(False)
    before, infos = env.observe(STUDENT), env.infos
    infos[STUDENT]["messages"].clear()
    infos[TEACHER]["leaks"].append("x")
    before["attempt"] = 99
    env.step(CLEAN)
    assert env.observe(STUDENT)["attempt"] == 1
    assert env.infos[STUDENT]["messages"]
    assert env.infos[TEACHER]["leaks"] == []


def test_long_guidance_is_cut_and_a_leak_behind_the_cut_is_none():
    short = replace(protocol("paper"), max_guidance_chars=len(CLEAN))
    env, paid = taught(False, f"{CLEAN} {LEAK}", False, protocol=short)
    assert env.unwrapped.dialogue.attempts[0].guidance == Guidance(CLEAN, truncated=True)
    assert paid[-1] == (0, 0)


def test_usage_of_a_teacher_object_is_counted():
    env, _ = taught(False)
    assert env.unwrapped.usage["teacher"] == Usage()
    env.step(multi_agent.guide(env, Says(CLEAN)))
    assert env.unwrapped.usage["teacher"] == Usage(calls=1, completion_tokens=len(CLEAN))


# -- resets ------------------------------------------------------------------------------


def test_reset_options_are_those_of_gymnasium():
    env = multi_agent.env(questions=QUESTIONS)
    tracker = BatchStatistics(2)
    env.reset(seed=0, options={"question_id": "q3", "tracker": tracker})
    assert env.infos[STUDENT]["question_id"] == "q3"
    env.step(wrong(QUESTIONS[3]))
    assert tracker.attempts == [1, 0]
    with pytest.raises(QuestionError, match="no question 'q9'"):
        env.reset(options={"question_id": "q9"})


def test_an_unknown_reset_option_is_said():
    env = multi_agent.env()
    with pytest.warns(
        UserWarning, match="unknown reset option 'question' is not used; use one of: question_id"
    ):
        env.reset(options={"question": "q3"})


@pytest.mark.parametrize("leave", ["reset", "close"])
def test_an_unfinished_episode_is_closed_in_the_tracker(leave):
    tracker = BatchStatistics(2, 2)
    env, _ = taught(False, tracker=tracker)
    assert tracker.bounds(2)[0] < 0.5
    getattr(env, leave)()
    tracker.record(1, True)
    assert tracker.bounds(2) == (0.5, 0.5)


def test_a_copied_tracker_is_refused():
    env = multi_agent.env(questions=[QUESTION], tracker=copy.deepcopy(BatchStatistics(2)))
    with pytest.raises(TrackerError, match="copy"):
        env.reset(seed=0)
    with pytest.raises(TrackerError, match="max_attempts=3"):
        multi_agent.env(max_attempts=2, tracker=BatchStatistics(3))


# -- errors ------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [multi_agent.env, multi_agent.parallel_env, multi_agent.raw_env])
def test_an_unknown_argument_is_named(make):
    with pytest.raises(
        ConfigurationError, match=r"unknown argument 'max_attempt'; use one of: .*max_attempts"
    ):
        make(max_attempt=3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"leak_penalty": -1}, "leak_penalty is -1; give a number of at least 0"),
        ({"leak_penalty": float("nan")}, "leak_penalty is nan"),
        ({"leak_penalty": "1"}, "leak_penalty is '1'"),
        ({"leak_penalty": True}, "leak_penalty is True"),
        ({"teacher_baseline": 0.5}, "teacher_baseline is 0.5; give True or False"),
        ({"render_mode": "rgb"}, "unknown render_mode 'rgb'"),
        ({"max_attempts": 0}, "max_attempts is 0"),
        ({"protocol": "papyrus"}, "unknown protocol 'papyrus'"),
    ],
)
def test_an_unusable_argument_is_named_with_a_remedy(arguments, message):
    with pytest.raises(ConfigurationError, match=message):
        multi_agent.env(**arguments)


@pytest.mark.parametrize("action", [None, 3, b"A", ["A"], Guidance(CLEAN)])
def test_a_students_action_must_be_a_text(action):
    env = multi_agent.env(questions=[QUESTION], tracker=(tracker := BatchStatistics(2)))
    env.reset(seed=0)
    with pytest.raises(
        ActionError, match=r"it is student_0's turn, and its action is .* a reply must be a str"
    ):
        env.step(action)
    assert tracker.attempts == [0, 0]
    assert env.agent_selection == STUDENT


@pytest.mark.parametrize("action", [None, 3, b"A"])
def test_a_teachers_action_must_be_guidance(action):
    env, _ = taught(False)
    with pytest.raises(ActionError, match=r"it is teacher_0's turn, .* guidance must be a str or a Guidance"):
        env.step(action)
    assert env.unwrapped.dialogue.awaits_guidance


def test_an_agent_that_has_ended_takes_nothing_but_none():
    env, _ = taught(True)
    with pytest.raises(StepError, match=r"student_0 has ended \(solved\).*step\(None\)"):
        env.step(right(QUESTION))
    for _ in range(2):
        env.step(None)
    for action in (None, CLEAN):
        with pytest.raises(StepError, match="call reset"):
            env.step(action)


def test_a_step_before_reset_or_after_close():
    env = multi_agent.env()
    with pytest.raises(StepError, match="call reset"):
        env.step("A")
    parallel = multi_agent.parallel_env()
    with pytest.raises(StepError, match="call reset"):
        parallel.step({STUDENT: "A"})
    env.reset(seed=0)
    env.close()
    with pytest.raises(StepError, match="call reset"):
        env.step("A")


def test_a_parallel_step_needs_the_action_of_the_turn():
    env = multi_agent.parallel_env(questions=[QUESTION])
    env.reset(seed=0)
    with pytest.raises(ActionError, match="it is student_0's turn, but the actions are those of teacher_0"):
        env.step({TEACHER: CLEAN})
    with pytest.raises(ActionError, match="those of nobody"):
        env.step({})
    with pytest.raises(ActionError, match="actions is None; give a dictionary"):
        env.step(None)
    with pytest.raises(ActionError, match="unknown agent 'student'"):
        env.step({STUDENT: "A", "student": "A"})
    env.step({STUDENT: wrong(QUESTION)})
    with pytest.raises(ActionError, match="it is teacher_0's turn, but the actions are those of student_0"):
        env.step({STUDENT: right(QUESTION)})
    env.step({TEACHER: CLEAN})
    env.step({STUDENT: right(QUESTION)})
    assert env.agents == []
    with pytest.raises(StepError, match="call reset"):
        env.step({STUDENT: right(QUESTION)})


def test_an_unknown_agent_is_named():
    env, _ = taught()
    for ask in (env.observe, env.observation_space, env.action_space):
        with pytest.raises(
            ConfigurationError, match="unknown agent 'teacher'; use one of: student_0, teacher_0"
        ):
            ask("teacher")


def test_a_teacher_object_is_asked_on_the_teachers_turn_only():
    env, _ = taught()
    with pytest.raises(StepError, match="no guidance is awaited; it is student_0's turn"):
        multi_agent.guide(env, rule())
    env, _ = taught(True)
    with pytest.raises(StepError, match="it is nobody's turn"):
        multi_agent.guide(env, rule())


def test_a_teacher_object_that_cannot_teach_the_question_is_refused():
    bare_question = replace(QUESTION, mistakes=())
    env = multi_agent.env(questions=[bare_question])
    env.reset(seed=0)
    env.step("<answer>\nA\n</answer>")
    with pytest.raises(ConfigurationError, match="misconception table"):
        multi_agent.guide(env, rule())


# -- the rest ----------------------------------------------------------------------------


def test_ansi_gives_the_dialogue_and_human_prints_it(capsys):
    env, _ = taught(False, CLEAN, render_mode="ansi")
    assert env.render() == env.observe(STUDENT)["dialogue"]
    assert capsys.readouterr().out == ""
    env, _ = taught(False, CLEAN, render_mode="human")
    assert env.render() is None
    assert capsys.readouterr().out.count("Which one?") == 3


def test_pettingzoo_is_imported_for_this_face_only():
    code = (
        "import sys, socratic_env; assert 'pettingzoo' not in sys.modules; "
        "sys.modules['pettingzoo'] = None; import socratic_env.multi_agent"
    )
    root = Path(socratic_env.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.returncode == 1
    assert "ImportError: socratic_env.multi_agent needs PettingZoo" in done.stderr
