import asyncio
import copy
import dataclasses
import json
import os
import pickle
import random
import re
import signal
import subprocess
import sys
import threading
import warnings
from dataclasses import fields
from functools import partial
from pathlib import Path

import gymnasium as gym
import pytest
from gymnasium.error import CustomSpaceError
from gymnasium.utils.env_checker import check_env
from gymnasium.vector.utils import create_shared_memory
from support.scripted import Coach, choice_question, mistake, numeric_question, right, says, wrong

from envs_registry import IDS
from socratic_env import BatchStatistics, Guidance, SocraticBatch, SocraticEnv, Teacher, Verdict
from socratic_env.engine.arguments import EnvArguments
from socratic_env.engine.concurrent import ConcurrentSession
from socratic_env.envs.spaces import UnicodeText
from socratic_env.errors import (
    ActionError,
    ConfigurationError,
    QuestionError,
    SocraticError,
    StepError,
    TeacherTimeout,
    TeacherUnavailable,
    TrackerError,
)
from socratic_env.teachers.retry_teacher import RETRY_PROMPT
from socratic_env.types import Usage

pytestmark = pytest.mark.filterwarnings("error", "ignore::socratic_env.errors.TeacherFaultWarning")

ROOT = Path(__file__).parents[1]
QUESTIONS = [choice_question(f"q{i}", answer="ABCD"[i % 4]) for i in range(16)]
INFO_KEYS = {"messages", "question_id", "domain", "attempt", "correct", "answer", "verdict", "guidance"}
INFO_KEYS |= {"teacher_fault", "verifier_fault", "stop_reason", "reward_bounds"}


def make(env_id="SocraticSciKnow-v0", **kwargs):
    return gym.make(env_id, **kwargs)


def play(env, *verdicts):
    """Attempts with these verdicts; the result of the last step."""
    for correct in verdicts:
        result = env.step(says(env.unwrapped.question, correct))
    return result


# -- Gymnasium ---------------------------------------------------------------------------


@pytest.mark.parametrize("entry", IDS, ids=lambda entry: entry.id)
@pytest.mark.parametrize("render_mode", [None, "ansi", "human"])
def test_every_id_passes_the_environment_checker(entry, render_mode, capsys):
    check_env(make(entry.id, render_mode=render_mode).unwrapped)
    assert entry.summary


@pytest.mark.parametrize("entry", [e for e in IDS if not e.discrete], ids=lambda entry: entry.id)
def test_every_text_id_teaches(entry):
    """A wrong first attempt, guidance, then the right answer; the reward is what the id says."""
    env = make(entry.id)
    env.reset(seed=3)
    play(env, True)
    env.reset()
    _, reward, terminated, truncated, info = play(env, False)
    assert (reward, terminated, truncated, info["correct"]) == (0.0, False, False, False)
    assert info["guidance"]
    _, reward, terminated, truncated, info = play(env, True)
    assert (terminated, truncated, info["correct"]) == (True, False, True)
    assert reward == (1.0 if "NoDecay" in entry.id else 0.5)


@pytest.mark.parametrize("domain", ["chemistry", "physics", "biology", "material"])
def test_ids_of_one_domain_ask_nothing_else(domain):
    env = make(f"Socratic{domain.capitalize()}-v0")
    assert {env.reset(seed=seed)[1]["domain"] for seed in range(20)} == {domain}


def test_the_whole_set_has_every_domain():
    env = make()
    domains = {env.reset(seed=seed)[1]["domain"] for seed in range(60)}
    assert domains == {"chemistry", "physics", "biology", "material"}


def test_without_a_teacher_there_is_the_fixed_retry_prompt():
    env = make("SocraticSciKnow-NoTeacher-v0")
    env.reset(seed=0)
    assert play(env, False)[-1]["guidance"] == RETRY_PROMPT


def test_the_space_of_all_texts():
    space = UnicodeText(300, seed=0)
    assert "" in space
    assert "\u00b5 \U0001f600 \x00" in space
    assert "x" * 300 in space
    for other in ("x" * 301, b"x", None, 7, ["x"]):
        assert other not in space
    samples = [space.sample() for _ in range(100)]
    assert all(sample in space and sample.isascii() for sample in samples)
    assert len({len(sample) for sample in samples}) > 20
    assert len(space.sample((3, None))) == 3
    assert space == UnicodeText(300)
    assert space != UnicodeText(301)
    assert space != gym.spaces.Text(300)


def test_errors_are_those_that_gymnasium_knows():
    assert issubclass(StepError, gym.error.ResetNeeded)


# -- observation and info ----------------------------------------------------------------


def steps_of(env, *verdicts, **reset):
    """(observation, info) of reset and of every step."""
    seen = [env.reset(**reset)]
    for correct in verdicts:
        observation, *_, info = play(env, correct)
        seen.append((observation, info))
    return seen


def test_the_information_of_an_episode():
    env = make(questions=[choice_question("q", "C")], max_attempts=3)
    seen = steps_of(env, False, True, seed=0)
    assert all(set(info) == INFO_KEYS for _, info in seen)

    def column(key):
        return [info[key] for _, info in seen]

    assert column("question_id") == ["q"] * 3
    assert column("domain") == ["physics"] * 3
    assert column("attempt") == [0, 1, 2]
    assert column("correct") == [False, False, True]
    assert column("answer") == [None, "A", "C"]
    assert column("verdict") == [None, "wrong option", "correct"]
    assert column("guidance") == [None, "You slipped. Go on.", None]
    assert column("stop_reason") == [None, None, "solved"]
    assert column("reward_bounds") == [(0.0, 0.0)] * 3
    for observation, info in seen:
        assert observation in env.observation_space
        assert observation == "\n\n".join(f"[{m['role']}]\n{m['content']}" for m in info["messages"])
        assert json.loads(json.dumps(info, allow_nan=False))["messages"] == info["messages"]
    assert [len(info["messages"]) for _, info in seen] == [1, 3, 4]


def test_observation_and_info_do_not_depend_on_the_ground_truth():
    """Two questions that differ in nothing but their truth look the same until one is solved."""
    told = []
    for truth in "BCD":
        question = dataclasses.replace(
            choice_question("q", truth), solution=f"secret of {truth}", mistakes=choice_question().mistakes
        )
        env = make(questions=[question], max_attempts=4)
        told.append([env.reset(seed=0)])
        for action in ("<answer>A</answer>", "no answer", "<answer>A</answer> or <answer>B</answer>"):
            told[-1].append(env.step(action))
    assert told[0] == told[1] == told[2]


def test_no_secret_of_a_question_is_shown():
    question = dataclasses.replace(
        numeric_question("271.828"),
        solution="secret solution",
        mistakes=(dataclasses.replace(mistake("314.159"), reasoning="secret reasoning"),),
    )
    env = make(questions=[question], max_attempts=3, render_mode="ansi")
    shown = [repr(env.reset(seed=0)), env.render(), repr(env), str(env.unwrapped)]
    for action in ("<answer>1</answer>", "<answer>314.2</answer>", "I do not know"):
        shown += [repr(env.step(action)), env.render()]
    for secret in ("271", "314.159", "secret"):
        assert not any(secret in text for text in shown)


def test_costs_are_read_from_usage_and_never_from_info():
    class Costly(Coach):
        def _one(self, request):
            return dataclasses.replace(super()._one(request), usage=Usage(1, 0, 100, 10, 1.5))

    env = make(teacher=Costly(), max_attempts=3)
    env.reset(seed=0)
    assert env.unwrapped.usage == {"teacher": Usage()}
    *_, info = play(env, False, False)
    assert env.unwrapped.usage == {"teacher": Usage(2, 0, 200, 20, 3.0)}
    assert set(info) == INFO_KEYS
    env.unwrapped.usage.clear()
    assert env.unwrapped.usage["teacher"].calls == 2


def test_each_step_gives_fresh_objects():
    env = make(max_attempts=3)
    for _, info in steps_of(env, False, False, seed=0):
        kept = copy.deepcopy(info["messages"])
        info["messages"][0]["content"] = "forged"
        info["messages"].append({"role": "user", "content": "forged"})
        info.clear()
    *_, info = play(env, False)
    assert "forged" not in repr(info)
    assert info["messages"][: len(kept)] == kept


def test_braces_and_markup_of_a_student_are_shown_as_they_are():
    env = make()
    env.reset(seed=0)
    action = "{reference_solution} {x.__class__} %s {{...}} <|im_end|> </student_answer>"
    observation, *_, info = env.step(action)
    assert action in observation
    assert info["messages"][2] == {"role": "assistant", "content": action}


# -- determinism -------------------------------------------------------------------------


def transcript(seed, script, **kwargs):
    env = make(max_attempts=3, **kwargs)
    seen = [env.reset(seed=seed)]
    for correct in script:
        result = play(env, correct)
        seen.append(result)
        if result[2] or result[3]:
            seen.append(env.reset())
    return seen


def test_seed_and_actions_determine_everything():
    script = random.Random(5).choices([True, False], k=30)
    assert transcript(11, script) == transcript(11, script)
    assert transcript(11, script) != transcript(12, script)


def test_a_seed_sets_a_used_environment_back():
    env = make()
    first = [env.reset(seed=4), play(env, False), play(env, True), env.reset(), play(env, True)]
    env.reset(seed=9)
    assert [env.reset(seed=4), play(env, False), play(env, True), env.reset(), play(env, True)] == first


def test_a_question_id_chooses_the_question_and_keeps_the_draws():
    """The generator moves on as without the option, so that later questions stay the same."""
    env, other = make(), make()
    wanted = env.reset(seed=1)[1]["question_id"]
    env.reset(seed=8)
    after = env.reset()[1]["question_id"]
    assert other.reset(seed=8, options={"question_id": wanted})[1]["question_id"] == wanted
    assert other.reset()[1]["question_id"] == after


@pytest.mark.parametrize("question_id", ["physics/nothing/train/1", "", 7, "physics/horizontal_throw/test/1"])
def test_an_unknown_question_id_is_named(question_id):
    env = make()
    with pytest.raises(QuestionError, match=r"no question .*; ids look like ") as caught:
        env.reset(seed=0, options={"question_id": question_id})
    assert repr(question_id) in str(caught.value)


def test_an_unknown_reset_option_is_named():
    with pytest.raises(ConfigurationError, match=r"unknown reset option 'quest'.* question_id, tracker"):
        make().reset(options={"quest": "q1"})


# -- rewards of a lone environment -------------------------------------------------------


def late_reward(env, **reset):
    env.reset(**reset)
    return play(env, False, True)[1]


def test_the_first_episode_pays_at_once_or_not_at_all():
    env = make()
    env.reset(seed=0)
    assert play(env, True)[1] == 1.0
    assert late_reward(make(), seed=0) == 0.0


def test_reset_keeps_the_window_and_a_seed_empties_it():
    env = make()
    env.reset(seed=0)
    play(env, True)
    assert late_reward(env) == 1 / 2
    assert late_reward(env) == 1 / 3
    assert late_reward(env, seed=0) == 0.0
    assert late_reward(env, seed=0) == 0.0


def test_abandoned_attempts_stay_in_the_window():
    env = make()
    env.reset(seed=0)
    play(env, True)
    env.reset()
    play(env, False)
    env.reset()
    env.reset()
    assert late_reward(env) == 1 / 3


def test_the_bounds_of_a_lone_environment_are_its_reward():
    env = make()
    env.reset(seed=0)
    assert play(env, True)[-1]["reward_bounds"] == (1.0, 1.0)
    env.reset()
    assert play(env, False)[-1]["reward_bounds"] == (0.0, 0.0)
    assert play(env, True)[-1]["reward_bounds"] == (0.5, 0.5)


@pytest.mark.parametrize(("reward", "paid"), [("full", 1.0), ("constant:0.5", 0.25), ("constant:0.1", 0.01)])
def test_other_schedules_do_not_ask_the_statistics(reward, paid):
    env = make(reward=reward, max_attempts=3)
    env.reset(seed=0)
    _, reward, *_, info = play(env, False, False, True)
    assert reward == pytest.approx(paid)
    assert info["reward_bounds"] == (reward, reward)


# -- a shared tracker is one batch -------------------------------------------------------


def lockstep(scripts, max_attempts, size):
    """Single environments that share a tracker, in lockstep: their episodes, step results, tracker."""
    tracker = BatchStatistics(max_attempts, size)
    envs = [make(questions=QUESTIONS, max_attempts=max_attempts, tracker=tracker) for _ in scripts]
    results = [[env.reset(seed=100 + row // 2)] for row, env in enumerate(envs)]
    for step in range(max_attempts):
        for row, env in enumerate(envs):
            if len(results[row]) == 1 or not (results[row][-1][2] or results[row][-1][3]):
                results[row].append(env.step(scripts[row][step](env.unwrapped.question)))
    return results, tracker


@pytest.mark.parametrize("max_attempts", [1, 2, 3])
@pytest.mark.parametrize("known_size", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_single_environments_in_lockstep_are_the_vector_environment(max_attempts, known_size, seed):
    rng, rows = random.Random(seed), 8
    kinds = [right, wrong, lambda q: wrong(q, 1), lambda _: "no answer"]
    scripts = [[rng.choice(kinds) for _ in range(max_attempts)] for _ in range(rows)]
    singles, tracker = lockstep(scripts, max_attempts, rows if known_size else None)

    env = gym.make_vec(
        "SocraticSciKnow-v0",
        num_envs=rows,
        rollouts_per_question=2,
        questions=QUESTIONS,
        max_attempts=max_attempts,
    )
    observations, infos = env.reset(seed=100)
    questions = [env.unwrapped.questions.find(question_id) for question_id in infos["question_id"]]
    for row in range(rows):
        assert (observations[row], {key: infos[key][row] for key in INFO_KEYS}) == singles[row][0]
    ended = [False] * rows
    for step in range(max_attempts):
        actions = [scripts[row][step](questions[row]) for row in range(rows)]
        observations, rewards, terminated, truncated, infos = env.step(actions)
        for row in range(rows):
            if ended[row]:
                assert rewards[row] == 0.0
                continue
            info = {key: infos[key][row] for key in INFO_KEYS}
            observed = (observations[row], rewards[row], terminated[row], truncated[row], info)
            assert observed == singles[row][step + 1]
            ended[row] = bool(terminated[row] or truncated[row])
        if all(ended):
            break
    assert infos["batch"] == {"attempts": tracker.attempts, "solved": tracker.solved, "mu": tracker.means()}
    for row, episode in enumerate(env.unwrapped.episodes()):
        assert episode.rewards == tuple(result[1] for result in singles[row][1:])
        assert episode.stop.value == singles[row][-1][-1]["stop_reason"]
        assert [attempt.text for attempt in episode.attempts] == [
            message["content"]
            for message in singles[row][-1][-1]["messages"]
            if message["role"] == "assistant"
        ]


def test_environments_never_clear_a_tracker():
    tracker = BatchStatistics(2)
    env = make(tracker=tracker)
    for seed in (0, None, 0):
        env.reset(seed=seed)
        play(env, True)
    env.reset(seed=0)
    assert tracker.attempts == [3, 0]


def test_a_known_batch_pays_the_lower_bound_and_shows_both():
    tracker = BatchStatistics(2, batch_size=3)
    a, b = make(tracker=tracker), make(tracker=tracker)
    a.reset(seed=0)
    play(a, True)
    b.reset(seed=1)
    _, reward, *_, info = play(b, False, True)
    assert reward == 1 / 3
    assert info["reward_bounds"] == (1 / 3, 2 / 3)


def test_reset_changes_the_tracker():
    old, new = BatchStatistics(2), BatchStatistics(2)
    env = make(tracker=old)
    env.reset(seed=0)
    play(env, True)
    env.reset(options={"tracker": new})
    play(env, False)
    env.reset()
    play(env, True)
    assert (old.attempts, new.attempts) == ([1, 0], [2, 0])


@pytest.mark.parametrize("leave", ["reset", "close", "tracker"])
def test_an_abandoned_episode_is_closed(leave):
    """So the bounds of the batch meet without it."""
    tracker = BatchStatistics(3, batch_size=2)
    a, b = make(tracker=tracker, max_attempts=3), make(tracker=tracker, max_attempts=3)
    a.reset(seed=0)
    play(a, True)
    b.reset(seed=0)
    play(b, False)
    assert len(set(tracker.bounds(3))) == 2
    if leave == "close":
        b.close()
    else:
        b.reset(options={"tracker": BatchStatistics(3)} if leave == "tracker" else None)
    assert tracker.bounds(3) == (0.5, 0.5)
    b.close()
    assert tracker.bounds(3) == (0.5, 0.5)


@pytest.mark.parametrize(
    "options", [{"question_id": "none"}, {"tracker": 3}, {"tracker": BatchStatistics(2)}]
)
def test_a_refused_reset_leaves_the_episode_as_it_was(options):
    tracker = BatchStatistics(3, batch_size=1)
    env = make(tracker=tracker, max_attempts=3)
    env.reset(seed=0)
    play(env, False)
    with pytest.raises(SocraticError):
        env.reset(options=options)
    play(env, True)
    assert tracker.attempts == [1, 1, 0]


@pytest.mark.parametrize("questions", ["procedural:easy", QUESTIONS], ids=["made on demand", "a list"])
def test_a_pickled_environment_goes_on_alike(questions):
    env = make(questions=questions)
    env.reset(seed=0)
    play(env, False)
    twin = pickle.loads(pickle.dumps(env))
    assert play(env, True) == play(twin, True)
    assert env.reset() == twin.reset()


def test_an_ended_episode_is_closed_once():
    tracker = BatchStatistics(3, batch_size=2)
    env = make(tracker=tracker, max_attempts=3, max_context_chars=1)
    for _ in range(2):
        env.reset(seed=0)
        assert play(env, False)[3]
        env.reset()
    env.close()
    assert tracker.bounds(3) == (0.0, 0.0)


def test_an_episode_without_an_attempt_is_none():
    tracker = BatchStatistics(2, batch_size=1)
    env = make(tracker=tracker)
    env.reset(seed=0)
    env.reset()
    play(env, True)
    env.close()
    assert tracker.bounds(2) == (1.0, 1.0)


def test_more_episodes_than_a_known_batch_are_refused():
    env = make(tracker=BatchStatistics(2, batch_size=1))
    env.reset(seed=0)
    play(env, True)
    env.reset()
    with pytest.raises(TrackerError, match="open a new BatchStatistics"):
        play(env, True)


def test_a_tracker_of_another_k_is_refused():
    message = "tracker has max_attempts=3, the environment max_attempts=2; make both equal"
    with pytest.raises(TrackerError, match=message):
        make(tracker=BatchStatistics(3))
    env = make()
    with pytest.raises(TrackerError, match=message):
        env.reset(options={"tracker": BatchStatistics(3)})


@pytest.mark.parametrize("tracker", ["batch", {}, 7])
def test_a_tracker_that_is_none_is_named(tracker):
    with pytest.raises(TrackerError, match="give a BatchStatistics or None") as caught:
        make(tracker=tracker)
    assert repr(tracker) in str(caught.value)


COPIES = {"pickle": lambda t: pickle.loads(pickle.dumps(t)), "deepcopy": copy.deepcopy, "copy": copy.copy}


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
def test_a_copied_tracker_is_refused(copied):
    twin = copied(BatchStatistics(2))
    with pytest.raises(TrackerError, match=r"is a copy .* merge them"):
        make(tracker=twin).reset()
    with pytest.raises(TrackerError, match="is a copy"):
        make().reset(options={"tracker": twin})


def test_the_copy_within_a_spec_is_refused():
    env = make(tracker=BatchStatistics(2))
    with pytest.raises(TrackerError, match="is a copy"):
        gym.make(env.spec).reset()
    gym.make(make().spec).reset(seed=0)


def test_a_copied_environment_does_not_go_on_with_its_tracker():
    env = make(tracker=BatchStatistics(2)).unwrapped
    with pytest.raises(TrackerError, match="is a copy"):
        copy.deepcopy(env).reset(seed=0)


def fork_with(function):
    """What the function raised in a forked child, as text."""
    read, write_to = os.pipe()
    child = os.fork()
    if not child:
        try:
            function()
            message = "nothing was raised"
        except SocraticError as error:
            message = f"{type(error).__name__}: {error}"
        os.write(write_to, message.encode())
        os._exit(0)
    os.close(write_to)
    os.waitpid(child, 0)
    with os.fdopen(read) as pipe:
        return pipe.read()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_worker_is_refused():
    tracker = BatchStatistics(2)
    env = make(tracker=tracker)
    assert "TrackerError: this tracker is a copy" in fork_with(lambda: make(tracker=tracker).reset())
    assert "TrackerError: this tracker is a copy" in fork_with(lambda: env.reset(seed=0))
    env.reset(seed=0)  # the parent may go on


def test_worker_processes_of_gymnasium_do_not_share_a_tracker():
    tracker = BatchStatistics(2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Gymnasium reports the workers' error as warnings, too
        env = gym.vector.AsyncVectorEnv([lambda: make(tracker=tracker)] * 2, shared_memory=False)
        with pytest.raises(TrackerError, match="this tracker is a copy"):
            env.reset(seed=0)
        env.close()
    assert tracker.attempts == [0, 0]


@pytest.mark.filterwarnings("default")
def test_worker_processes_of_gymnasium_run_environments_of_their_own():
    env = gym.vector.AsyncVectorEnv([lambda: make(questions=QUESTIONS)] * 2, shared_memory=False)
    try:
        _, infos = env.reset(seed=5)
        actions = [right(QUESTIONS[int(question_id[1:])]) for question_id in infos["question_id"]]
        assert env.step(actions)[1].tolist() == [1.0, 1.0]
    finally:
        env.close()


def test_texts_do_not_fill_shared_memory():
    """Room for the longest observation of each worker would be gigabytes; here it is 10 characters."""
    with pytest.raises(CustomSpaceError, match=r"UnicodeText\(10\) .* use shared_memory=False"):
        create_shared_memory(UnicodeText(10), n=2)
    assert isinstance(make().observation_space, UnicodeText)


# -- order of calls and actions ----------------------------------------------------------


def test_stepping_before_reset():
    env = make().unwrapped
    with pytest.raises(StepError, match="no episode is open; call reset"):
        env.step("<answer>A</answer>")
    with pytest.raises(StepError, match="no episode is open; call reset"):
        _ = env.question


@pytest.mark.parametrize("verdicts", [[True], [False, True], [False, False]])
def test_stepping_a_finished_episode(verdicts):
    env = make()
    env.reset(seed=0)
    assert play(env, *verdicts)[2]
    with pytest.raises(StepError, match=r"the episode has ended .*; call reset"):
        env.unwrapped.step("<answer>A</answer>")
    env.reset()
    play(env, True)


@pytest.mark.parametrize("action", [None, 3, b"<answer>A</answer>", ["<answer>A</answer>"]])
def test_an_action_that_is_no_text_counts_for_nothing(action):
    tracker = BatchStatistics(2)
    env = make(tracker=tracker)
    env.reset(seed=0)
    with pytest.raises(ActionError, match="a reply must be a str") as caught:
        env.unwrapped.step(action)
    assert repr(action) in str(caught.value)
    assert tracker.attempts == [0, 0]
    assert play(env, True)[1] == 1.0


@pytest.mark.parametrize("action", ["", "\x00", "\ud800 \udfff", "x" * 10_000_000, "<answer>" * 32_000])
def test_hostile_actions_are_wrong_answers(action):
    env = make()
    env.reset(seed=0)
    observation, reward, terminated, truncated, info = env.step(action)
    assert (reward, terminated, truncated, info["correct"], info["answer"]) == (
        0.0,
        False,
        False,
        False,
        None,
    )
    assert observation in env.observation_space
    assert len(observation) < 1_100_000
    observation.encode()
    json.dumps(info, allow_nan=False)
    assert play(env, True)[2]


# -- arguments ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "named", "remedy"),
    [
        ({"questions": "proceduralx"}, "'proceduralx'", "did you mean 'procedural'?"),
        ({"questions": 7}, "7", "give a name, a path, a spec, or Question records"),
        ({"questions": []}, "questions", "no questions left"),
        ({"domain": "geology"}, "'geology'", "use one of: biology, chemistry, material, physics"),
        ({"domain": "concepts"}, "'concepts'", "use one of: biology, chemistry, material, physics"),
        ({"split": "dev"}, "'dev'", "use one of: test, train"),
        ({"teacher": "socrates"}, "'socrates'", "use one of: "),
        ({"teacher": {"kind": "socrates"}}, "'socrates'", "use one of: "),
        ({"teacher": {"kind": ["rule"]}}, "['rule']", "use one of: "),
        ({"teacher": {"model": "m"}}, "None", "use one of: "),
        ({"teacher": 7}, "7", "a mapping with 'kind', or a Teacher"),
        ({"teacher": {"kind": "rule", "hint": 1}}, "'hint'", "its arguments are: none"),
        ({"teacher": {"kind": "openai", "modle": "m"}}, "missing", "its arguments are: base_url, model, "),
        ({"protocol": "platonic"}, "'platonic'", "paper"),
        ({"protocol": ["paper"]}, "['paper']", "use one of: "),
        ({"reward": "decayed"}, "'decayed'", "use 'decay', 'full' or 'constant:0.5'"),
        (
            {"verifier": "letters"},
            "'letters'",
            "choice, choice_strict, code, last_number, math, module:name, numeric, text",
        ),
        ({"verifier": 7}, "7", "give a name, a function or None"),
        ({"max_attempts": 0}, "0", "give a whole number of at least 1"),
        ({"max_attempts": 1.5}, "1.5", "give a whole number of at least 1"),
        ({"on_teacher_failure": "ignore"}, "'ignore'", "use one of: raise, retry_prompt, truncate"),
        ({"max_context_chars": 0}, "0", "give a whole number of at least 1"),
        ({"max_context_chars": "9k"}, "'9k'", "give a whole number of at least 1"),
        ({"max_context_chars": True}, "True", "give a whole number of at least 1"),
        ({"questions": ""}, "''", "use one of: a path, "),
    ],
    ids=str,
)
def test_an_unusable_argument_is_named_with_a_remedy(arguments, named, remedy):
    with pytest.raises((ConfigurationError, QuestionError)) as caught:
        make(**arguments)
    assert named in str(caught.value)
    assert remedy in str(caught.value)


def test_an_unusable_render_mode_is_named():
    with pytest.raises(ConfigurationError, match="unknown render_mode 'rgb_array'; use one of: ansi, human"):
        SocraticEnv(render_mode="rgb_array")


def test_the_rule_teacher_needs_a_misconception_table():
    bare = dataclasses.replace(QUESTIONS[0], mistakes=())
    with pytest.raises(ConfigurationError, match=r"question 'q0' has none; use teacher='retry'"):
        make(questions=[bare])
    make(questions=[bare], teacher="retry").reset(seed=0)


def test_a_function_may_verify():
    env = make(verifier=lambda question, text: Verdict(text == "magic", text, "as it is"))
    env.reset(seed=0)
    assert env.step("a trick")[-1]["verdict"] == "as it is"
    assert env.step("magic")[2]


# -- rendering ---------------------------------------------------------------------------


def test_ansi_gives_the_dialogue():
    env = make(render_mode="ansi")
    observation, _ = env.reset(seed=0)
    assert env.render() == observation
    observation = play(env, False)[0]
    assert env.render() == observation


def test_human_prints_by_itself(capsys):
    env = make(render_mode="human")
    observation, _ = env.reset(seed=0)
    assert capsys.readouterr().out == f"{observation}\n\n"
    observation = play(env, False)[0]
    assert capsys.readouterr().out == f"{observation}\n\n"
    assert env.render() is None
    assert capsys.readouterr().out == ""


def test_without_a_mode_nothing_is_shown(capsys):
    env = SocraticEnv()
    env.reset(seed=0)
    assert env.render() is None
    assert capsys.readouterr().out == ""


# -- teachers that fail ------------------------------------------------------------------


class Failing(Teacher):
    """Fails every request, as data or by raising."""

    def __init__(self, raising=False):
        self.raising = raising

    async def guide(self, requests):
        fault = TeacherTimeout("no answer in 30 s")
        if self.raising:
            raise TeacherUnavailable("connection refused")
        return [Guidance(fault=fault, usage=Usage(1, 1)) for _ in requests]


both_ways = pytest.mark.parametrize("raising", [False, True], ids=["as-data", "raising"])


@both_ways
def test_truncate_ends_the_episode_after_its_verdict(raising):
    tracker = BatchStatistics(3, batch_size=1)
    env = make(teacher=Failing(raising), max_attempts=3, tracker=tracker)
    env.reset(seed=0)
    observation, reward, terminated, truncated, info = play(env, False)
    assert (reward, terminated, truncated) == (0.0, False, True)
    assert (info["stop_reason"], info["attempt"], info["guidance"]) == ("teacher_failed", 1, None)
    assert info["messages"][-1]["role"] == "assistant"
    assert "None" not in observation
    assert tracker.attempts == [1, 0, 0]
    assert tracker.bounds(3) == (0.0, 0.0)
    assert env.unwrapped.usage["teacher"].failures == 1
    with pytest.raises(StepError, match=r"ended \(teacher_failed\)"):
        env.unwrapped.step("<answer>A</answer>")


@both_ways
def test_retry_prompt_goes_on_without_the_teacher(raising):
    env = make(teacher=Failing(raising), on_teacher_failure="retry_prompt", max_attempts=3)
    env.reset(seed=0)
    *_, terminated, truncated, info = play(env, False)
    assert (terminated, truncated, info["stop_reason"]) == (False, False, None)
    assert info["guidance"] == info["messages"][-1]["content"] == RETRY_PROMPT
    assert env.unwrapped.usage["teacher"].failures == 1
    assert play(env, False, True)[2]


@both_ways
def test_raise_lets_the_fault_through_and_loses_no_verdict(raising):
    tracker = BatchStatistics(2, batch_size=1)
    env = make(teacher=Failing(raising), on_teacher_failure="raise", tracker=tracker).unwrapped
    env.reset(seed=0)
    with pytest.raises(TeacherUnavailable if raising else TeacherTimeout):
        play(env, False)
    assert env.usage["teacher"].failures == 1
    with pytest.raises(StepError):
        play(env, True)
    env.reset()
    assert tracker.attempts == [1, 0]
    assert tracker.bounds(2) == (0.0, 0.0)


def test_no_teacher_is_asked_after_the_last_attempt_or_a_right_one():
    coach = Coach()
    env = make(teacher=coach)
    for verdicts in ([True], [False, False], [False, True]):
        env.reset(seed=0)
        play(env, *verdicts)
    assert coach.calls == [1, 1]


def test_a_defect_of_a_teacher_is_no_fault():
    class Defective(Teacher):
        async def guide(self, requests):
            raise KeyError("a defect")

    env = make(teacher=Defective())
    env.reset(seed=0)
    with pytest.raises(KeyError, match="a defect"):
        play(env, False)


def test_an_interrupt_cancels_the_call_and_loses_no_verdict():
    class Sleeping(Teacher):
        def __init__(self):
            self.cancelled = threading.Event()

        async def guide(self, requests):
            try:
                await asyncio.sleep(0.05)
                signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                self.cancelled.set()
                raise

    teacher, tracker = Sleeping(), BatchStatistics(2, batch_size=2)
    env = make(teacher=teacher, tracker=tracker)
    env.reset(seed=0)
    with pytest.raises(KeyboardInterrupt):
        play(env, False)
    assert teacher.cancelled.wait(timeout=10)
    env.reset()
    assert play(env, True)[1] == 1.0
    assert tracker.attempts == [2, 0]
    assert tracker.bounds(2) == (0.5, 0.5)


def test_a_teacher_must_answer_every_request():
    class Silent(Teacher):
        async def guide(self, requests):
            return []

    env = make(teacher=Silent())
    env.reset(seed=0)
    with pytest.raises(ConfigurationError, match=r"Silent\.guide returned 0 guidances for 1 requests"):
        play(env, False)


def test_guidance_is_cut_at_the_length_of_the_protocol_and_marked():
    class Verbose(Teacher):
        async def guide(self, requests):
            return [Guidance("x" * 1_000_000) for _ in requests]

    env = make(teacher=Verbose())
    env.reset(seed=0)
    *_, info = play(env, False)
    longest = env.unwrapped.interaction.protocol.max_guidance_chars
    assert info["guidance"] == "x" * longest
    assert longest < 10_000


def test_an_environment_closes_only_a_teacher_of_its_own():
    given = Coach()
    make(teacher=given).close()
    assert not given.closed
    for env in (
        make(teacher="support.scripted:Coach"),
        gym.make_vec("SocraticSciKnow-v0", num_envs=8, teacher={"kind": "support.scripted:Coach"}),
        SocraticBatch(QUESTIONS, teacher="support.scripted:Coach"),
    ):
        own = getattr(env, "unwrapped", env).interaction.teacher
        env.close()
        assert own.closed


def test_the_context_limit_truncates():
    tracker = BatchStatistics(3, batch_size=1)
    env = make(max_attempts=3, max_context_chars=2000, tracker=tracker)
    env.reset(seed=0)
    _, reward, terminated, truncated, info = env.step("x" * 2000)
    assert (reward, terminated, truncated, info["stop_reason"]) == (0.0, False, True, "context_limit")
    assert tracker.bounds(3) == (0.0, 0.0)


# -- weight of the package ---------------------------------------------------------------


def test_neither_torch_nor_a_client_is_imported():
    code = (
        "import sys, gymnasium, socratic_env\n"
        "env = gymnasium.make('SocraticSciKnow-v0'); env.reset(seed=0); env.step('no answer')\n"
        "print([name for name in ('torch', 'vllm', 'openai', 'transformers') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (ran.stdout.strip(), ran.returncode) == ("[]", 0), ran.stderr


def test_an_environment_may_be_closed_while_the_interpreter_ends():
    """Some frameworks do it in `__del__`; the thread of the teachers is gone by then."""
    code = (
        "import os, sys, gymnasium, socratic_env\n"
        "class Keeper:\n"
        "    def __del__(self, ending=sys.is_finalizing, write=os.write):\n"
        "        self.env.close()\n"
        "        write(1, b'closed %d' % ending())\n"
        "keeper = Keeper()\n"
        "keeper.env = gymnasium.make('SocraticSciKnow-v0')\n"
        "keeper.env.reset(seed=0)\n"
        "keeper.env.step('no answer')\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (ran.stdout.strip(), ran.returncode) == ("closed 1", 0), ran.stderr


def test_the_docstring_tells_every_argument():
    told = set(re.findall(r"^    \* `(\w+)`", SocraticEnv.__doc__, re.MULTILINE))
    assert told == {field.name for field in fields(EnvArguments)} | {"tracker", "render_mode"}


def test_a_misspelt_argument_is_named_with_the_one_that_was_meant():
    for face in (make, partial(gym.make_vec, "SocraticSciKnow-v0", num_envs=8), ConcurrentSession):
        with pytest.raises(
            ConfigurationError, match=r"unknown argument 'max_atempts'; use .*; did you mean 'max_attempts'"
        ):
            face(max_atempts=3)
