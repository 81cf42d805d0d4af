import random
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from support.scripted import Coach, choice_question, right, says, wrong

from envs_registry import IDS
from socratic_env import BatchStatistics, SocraticVectorEnv
from socratic_env.errors import ActionError, ConfigurationError, QuestionError, StepError, TrackerError
from socratic_env.rewards import decayed_means

pytestmark = pytest.mark.filterwarnings("error", "ignore::socratic_env.errors.TeacherFaultWarning")

QUESTIONS = [choice_question(f"q{i}", answer="ABCD"[i % 4]) for i in range(16)]
ROWS = 8


def make(num_envs=ROWS, **kwargs):
    return gym.make_vec("SocraticSciKnow-v0", num_envs=num_envs, questions=QUESTIONS, **kwargs)


def questions_of(env):
    """The question of each row, after a reset."""
    batch = env.unwrapped._batch
    return [batch.dialogue(row).question for row in range(len(batch))]


def act(env, verdicts):
    """One step with a verdict for each row; None is a row that says nothing."""
    pairs = zip(questions_of(env), verdicts, strict=True)
    return env.step(["" if verdict is None else says(question, verdict) for question, verdict in pairs])


def first(count, rows=ROWS):
    return [row < count for row in range(rows)]


# -- shape -------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", [e for e in IDS if not e.discrete], ids=lambda entry: entry.id)
def test_every_text_id_makes_a_vector_environment(entry):
    env = gym.make_vec(entry.id, num_envs=ROWS)
    assert isinstance(env.unwrapped, SocraticVectorEnv)
    env.reset(seed=0)
    act(env, first(4))
    *_, infos = act(env, [None] * 4 + [True] * 4)
    assert infos["batch"] == {"attempts": [8, 4], "solved": [4, 4], "mu": [1.0, 0.5, 0.5]}
    expected = 1.0 if "NoDecay" in entry.id else 0.5
    assert {episode.rewards for episode in env.unwrapped.episodes()[4:]} == {(0.0, expected)}


def test_spaces_and_metadata():
    env = make()
    assert env.num_envs == ROWS
    assert env.metadata["autoreset_mode"] is AutoresetMode.DISABLED
    assert len(env.observation_space) == len(env.action_space) == ROWS
    observations, _ = env.reset(seed=0)
    assert observations in env.observation_space
    env.action_space.seed(0)
    assert act(env, first(3))[0] in env.observation_space
    env.step(env.action_space.sample())


def test_types_and_lengths_of_a_step():
    env = make()
    env.reset(seed=0)
    observations, rewards, terminated, truncated, infos = act(env, first(3))
    assert isinstance(observations, tuple)
    assert (rewards.shape, rewards.dtype) == ((ROWS,), np.float64)
    assert (terminated.shape, terminated.dtype) == ((ROWS,), np.bool_)
    assert (truncated.shape, truncated.dtype) == ((ROWS,), np.bool_)
    for key, values in infos.items():
        assert values.shape == (ROWS,)
        assert f"_{key}" in infos or key.startswith("_")
    assert infos["attempt"].dtype == np.int64
    assert infos["correct"].dtype == infos["_attempt"].dtype == np.bool_
    assert infos["correct"].tolist() == first(3)
    assert infos["messages"][5][-1]["role"] == "user"
    infos["_correct"][:] = False
    assert infos["_attempt"].all()


# -- episodes in lockstep ----------------------------------------------------------------


def test_a_batch_from_beginning_to_end():
    env = make(max_attempts=3)
    seen = [env.reset(seed=0)[0]]
    solved_at = [1, 2, 3, None, 1, 2, 3, None]
    steps = []
    for step in (1, 2, 3):
        verdicts = [None if at is not None and at < step else at == step for at in solved_at]
        steps.append(act(env, verdicts))
        seen.append(steps[-1][0])

    mu = decayed_means([8, 6, 4], [2, 2, 2])
    for step, (_, rewards, terminated, truncated, infos) in enumerate(steps, 1):
        active = [at is None or at >= step for at in solved_at]
        assert rewards.tolist() == [mu[step - 1] * (at == step) for at in solved_at]
        assert terminated.tolist() == [at == step or (at is None and step == 3) for at in solved_at]
        assert not truncated.any()
        assert infos["attempt"].tolist() == [min(at or step, step) for at in solved_at]
        assert all(infos[f"_{key}"].tolist() == active for key in infos if f"_{key}" in infos)
        for row in range(ROWS):
            assert (seen[step][row] == seen[step - 1][row]) == (not active[row])
    assert "batch" not in steps[0][-1]
    assert "batch" not in steps[1][-1]
    assert steps[2][-1]["batch"] == {"attempts": [8, 6, 4], "solved": [2, 2, 2], "mu": mu}
    assert steps[2][-1]["stop_reason"].tolist() == ["solved"] * 3 + ["out_of_attempts"] + ["solved"] * 3 + [
        "out_of_attempts"
    ]


def test_rows_that_have_ended_take_anything():
    env = make()
    env.reset(seed=0)
    before, *_ = act(env, first(7))
    questions = questions_of(env)
    actions = [wrong(questions[0]), right(questions[1]), "", None, 7, b"x", "\ud800", right(questions[7])]
    observations, rewards, terminated, _, infos = env.step(actions)
    assert observations[:7] == before[:7]
    assert rewards.tolist() == [0.0] * 7 + [7 / 8]
    assert terminated.tolist() == [False] * 7 + [True]
    assert infos["_correct"].tolist() == [False] * 7 + [True]
    assert infos["batch"]["attempts"] == [8, 1]


def test_a_batch_that_is_solved_at_once_ends_at_once():
    env = make(max_attempts=3)
    env.reset(seed=0)
    _, rewards, terminated, _, infos = act(env, first(ROWS))
    assert rewards.tolist() == [1.0] * ROWS
    assert terminated.all()
    assert infos["batch"] == {"attempts": [8, 0, 0], "solved": [8, 0, 0], "mu": [1.0] * 4}


def test_when_all_rows_have_ended_a_step_is_an_error():
    env = make()
    with pytest.raises(StepError, match="no batch is open; call reset"):
        env.step([""] * ROWS)
    env.reset(seed=0)
    act(env, first(ROWS))
    with pytest.raises(StepError, match="all rows of the batch have ended; call reset"):
        env.step([""] * ROWS)
    env.reset()
    act(env, first(ROWS))


def test_a_reset_opens_a_new_batch():
    env = make()
    env.reset(seed=0)
    act(env, first(2))
    env.reset()
    act(env, first(ROWS - 1))
    assert act(env, [None] * 7 + [True])[1][7] == 7 / 8


def test_truncated_rows_are_closed_and_counted():
    """Row 1's teacher fails, row 2 writes too much: both attempts count, both end truncated."""
    env = make(teacher=Coach(lambda question, _: question == "q1"), max_attempts=3, max_context_chars=3000)
    env.reset(options={"question_ids": [f"q{i}" for i in range(ROWS)]})
    questions = questions_of(env)
    actions = [right(q) if row > 3 else wrong(q) for row, q in enumerate(questions)]
    actions[2] = "x" * 3000
    _, _, terminated, truncated, infos = env.step(actions)
    assert truncated.tolist() == [False, True, True] + [False] * 5
    assert infos["stop_reason"].tolist()[:4] == [None, "teacher_failed", "context_limit", None]
    assert terminated.tolist() == [False] * 4 + [True] * 4
    act(env, [False, None, None, True] + [None] * 4)
    *_, truncated, infos = act(env, [True] + [None] * 7)
    assert infos["batch"]["attempts"] == [8, 2, 1]
    assert not truncated.any()
    bounds = infos["reward_bounds"]
    mu = decayed_means([8, 2, 1], [4, 1, 1])
    assert bounds[0] == (mu[2], mu[2])
    assert bounds[3] == (mu[1], mu[1])


def test_rows_may_be_cut_from_outside():
    env = make(max_attempts=3)
    env.reset(seed=0)
    act(env, first(4))
    env.unwrapped.cut([5, 6])
    *_, infos = act(env, [None] * 4 + [True, None, None, True])
    assert infos["batch"]["attempts"] == [8, 2, 0]
    assert infos["stop_reason"][5] == "context_limit"
    assert env.unwrapped.statistics.bounds(3) == (infos["batch"]["mu"][2],) * 2


def test_rewards_are_exact_at_once():
    """In lockstep nothing is provisional: the bounds of a correct attempt meet in its own step."""
    rng = random.Random(1)
    env = make(num_envs=16, max_attempts=4)
    env.reset(seed=0)
    paid = [[] for _ in range(16)]
    active = [True] * 16
    while any(active):
        _, rewards, terminated, _, infos = act(env, [rng.random() < 0.4 if on else None for on in active])
        for row in np.flatnonzero(active):
            low, high = infos["reward_bounds"][row]
            assert low == high == rewards[row]
            paid[row].append(rewards[row])
        active = [on and not ended for on, ended in zip(active, terminated, strict=True)]
    assert [list(episode.rewards) for episode in env.unwrapped.episodes()] == paid


# -- questions of the rows ---------------------------------------------------------------


@pytest.mark.parametrize("group", [1, 2, 4])
def test_row_i_has_the_question_of_a_single_environment(group):
    kwargs = {"num_envs": ROWS, "rollouts_per_question": group}
    env = gym.make_vec("SocraticSciKnow-v0", **kwargs)
    _, first_infos = env.reset(seed=40)
    _, next_infos = env.reset()
    for row in range(ROWS):
        single = gym.make("SocraticSciKnow-v0")
        assert first_infos["question_id"][row] == single.reset(seed=40 + row // group)[1]["question_id"]
        assert next_infos["question_id"][row] == single.reset()[1]["question_id"]
    assert len(set(first_infos["question_id"])) == ROWS // group


def test_question_ids_for_groups_and_for_rows():
    env = make(rollouts_per_question=2)
    ids = ["q3", "q1", "q2", "q0"]
    assert env.reset(options={"question_ids": ids})[1]["question_id"].tolist() == np.repeat(ids, 2).tolist()
    each = [f"q{i}" for i in (5, 4, 3, 2, 1, 0, 5, 5)]
    assert env.reset(options={"question_ids": each})[1]["question_id"].tolist() == each


@pytest.mark.parametrize("ids", ["q0", 3])
def test_question_ids_must_be_a_list(ids):
    with pytest.raises(ConfigurationError, match=f"question_ids is {ids!r}; give a list"):
        make().reset(options={"question_ids": ids})


@pytest.mark.parametrize("count", [0, 1, 3, 9])
def test_a_wrong_number_of_question_ids_is_named(count):
    env = make(rollouts_per_question=2)
    with pytest.raises(ConfigurationError, match=f"{count} ids; .* 4 groups or each of the 8 rows"):
        env.reset(options={"question_ids": ["q0"] * count})


def test_unknown_question_ids_and_options_are_named():
    env = make(rollouts_per_question=8)
    with pytest.raises(QuestionError, match="no question 'q99'; ids look like q0"):
        env.reset(options={"question_ids": ["q99"]})
    with pytest.raises(ConfigurationError, match=r"unknown reset option 'question_id'.*question_ids"):
        env.reset(options={"question_id": "q1"})


def test_seed_and_actions_determine_everything():
    def transcript():
        env = make()
        seen = [env.reset(seed=6), act(env, first(3)), act(env, [None] * 3 + [True] * 5), env.reset()]
        return repr(seen)

    assert transcript() == transcript()


# -- masks -------------------------------------------------------------------------------


def test_a_full_reset_mask_is_a_reset():
    env = make()
    _, plain = env.reset(seed=2)
    _, masked = env.reset(seed=2, options={"reset_mask": np.ones(ROWS, dtype=bool)})
    assert masked["question_id"].tolist() == plain["question_id"].tolist()


@pytest.mark.parametrize("mask", [first(7), first(0), first(7, rows=7), True])
def test_a_partial_reset_mask_is_an_error(mask):
    env = make()
    env.reset(seed=0)
    act(env, first(3))
    with pytest.raises(ConfigurationError, match=r"does not name all 8 rows, .* reset all of them together"):
        env.reset(options={"reset_mask": np.array(mask)})
    assert act(env, [None] * 3 + [True] * 5)[-1]["batch"]["attempts"] == [8, 5]


# -- actions -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("actions", "given"),
    [
        ([""] * 7, "7 actions"),
        ([""] * 9, "9 actions"),
        ([], "0 actions"),
        ("x" * ROWS, "one str"),
        (None, "one NoneType"),
        (7, "one int"),
    ],
)
def test_a_wrong_number_of_actions_counts_for_nothing(actions, given):
    env = make()
    env.reset(seed=0)
    with pytest.raises(ActionError, match=f"step got {given}; give a list of 8 texts"):
        env.step(actions)
    assert act(env, first(ROWS))[-1]["batch"]["attempts"] == [8, 0]


def test_an_action_that_is_no_text_is_named_with_its_row():
    env = make()
    env.reset(seed=0)
    with pytest.raises(ActionError, match=r"action of row 6 is int 42; a reply must be a str"):
        env.step([""] * 6 + [42, ""])
    assert act(env, first(ROWS))[-1]["batch"]["attempts"] == [8, 0]


@pytest.mark.parametrize("container", [list, tuple, np.array])
def test_any_sequence_of_texts_will_do(container):
    env = make()
    env.reset(seed=0)
    assert env.step(container([right(question) for question in questions_of(env)]))[1].tolist() == [1.0] * 8


# -- arguments ---------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [1, 7])
def test_a_small_batch_warns_under_decay(rows):
    with pytest.warns(UserWarning, match=f"a batch of {rows} episodes is small .* use at least 8 rows"):
        make(num_envs=rows)


@pytest.mark.parametrize("kwargs", [{"reward": "full"}, {"reward": "constant:0.5"}, {"max_attempts": 1}])
def test_a_small_batch_is_fine_where_nothing_decays(kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make(num_envs=2, **kwargs)


@pytest.mark.parametrize("arguments", [{"num_envs": v} for v in (0, -8, 8.0, "8", True)], ids=str)
def test_a_number_of_rows_that_cannot_be_is_named(arguments):
    with pytest.raises(ConfigurationError, match=r"num_envs is .*; give a whole number of at least 1"):
        make(**arguments)
    with pytest.raises(ConfigurationError, match=r"rollouts_per_question is .*; give a whole number"):
        make(rollouts_per_question=arguments["num_envs"])


@pytest.mark.parametrize(("rows", "group"), [(8, 3), (8, 16)])
def test_rows_that_cannot_be_grouped_are_named(rows, group):
    with pytest.raises(ConfigurationError, match=f"num_envs={rows} .*rollouts_per_question={group}; make N"):
        make(num_envs=rows, rollouts_per_question=group)


def test_a_tracker_is_refused():
    with pytest.raises(TrackerError, match=r"opens its own batch .* infos\['batch'\]"):
        make(tracker=BatchStatistics(2))


def test_a_render_mode_is_refused():
    with pytest.raises(ConfigurationError, match="render_mode of a vector environment 'ansi'"):
        SocraticVectorEnv(ROWS, render_mode="ansi")


# -- the teacher -------------------------------------------------------------------------


def test_one_teacher_call_for_each_step():
    coach = Coach()
    env = make(teacher=coach, max_attempts=3)
    env.reset(seed=0)
    act(env, first(3))
    act(env, [None] * 3 + [True] + [False] * 4)
    act(env, [None] * 4 + [False] * 4)
    assert coach.calls == [5, 4]


def test_a_teacher_with_nothing_to_do_is_not_called():
    coach = Coach()
    env = make(teacher=coach)
    env.reset(seed=0)
    act(env, first(ROWS))
    assert coach.calls == []


def test_usage_adds_up_over_batches():
    env = make(teacher=Coach(lambda *_: True), on_teacher_failure="retry_prompt")
    env.reset(seed=0)
    *_, infos = act(env, first(5))
    assert infos["guidance"].tolist() == [None] * 5 + ["Your answer is incorrect. Try again."] * 3
    assert set(env.unwrapped.usage) == {"teacher"}


# -- finished episodes -------------------------------------------------------------------


def test_episodes_need_a_finished_batch():
    env = make().unwrapped
    with pytest.raises(StepError, match="no batch is open"):
        env.episodes()
    env.reset(seed=0)
    act(env, first(6))
    with pytest.raises(StepError, match=r"2 rows have not ended yet \(the first is row 6\)"):
        env.episodes()


# -- a list of seeds ---------------------------------------------------------------------


def seeded(envs, seed):
    return envs.reset(seed=seed)[1]["question_id"].tolist()


def test_a_list_of_seeds_has_one_for_each_group_or_row():
    envs = gym.make_vec("SocraticSciKnow-v0", num_envs=8, rollouts_per_question=2)
    single = gym.make("SocraticSciKnow-v0")
    seeds = [7, 0, 31, 7]
    wanted = [single.reset(seed=seed)[1]["question_id"] for seed in seeds for _ in range(2)]
    assert seeded(envs, seeds) == wanted
    assert seeded(envs, tuple(seeds)) == wanted
    assert seeded(envs, np.array(seeds)) == wanted
    assert seeded(envs, [seed for seed in seeds for _ in range(2)]) == wanted
    assert seeded(envs, [3, 4, 5, 6]) == seeded(envs, 3)
    later = [envs.reset()[1]["question_id"].tolist() for _ in range(2)]
    assert seeded(envs, [3, 4, 5, 6]) != later[0], "without a seed the generators go on"
    some = [seeded(envs, [1, None, None, 2]) for _ in range(2)]
    assert some[0][:2] == some[1][:2] == [single.reset(seed=1)[1]["question_id"]] * 2
    assert some[0][6:] == some[1][6:]
    assert some[0][2:6] != some[1][2:6]
    envs.close()


@pytest.mark.parametrize(
    ("seed", "says"),
    [
        ([1, 2, 3], "seed has 3 entries; give one for each of the 4 groups or each of the 8 rows"),
        ([], "seed has 0 entries"),
        ([1, 1, 2, 2, 3, 3, 4, 5], "share their question, but not their seed"),
        ([1, 2, 3, -4], "seed -4 is in the list"),
        ([1, 2, 3, True], "seed True is in the list"),
        ([1, 2, 3, 4.0], r"seed 4\.0 is in the list"),
        ([1, 2, 3, "4"], "seed '4' is in the list"),
        ("1234", "seed is '1234'; give a whole number, a list of them, or None"),
        (1.5, r"seed is 1\.5"),
    ],
)
def test_seeds_that_do_not_fit_are_refused(seed, says):
    envs = gym.make_vec("SocraticSciKnow-v0", num_envs=8, rollouts_per_question=2)
    with pytest.raises(ConfigurationError, match=says):
        envs.reset(seed=seed)
    envs.close()
