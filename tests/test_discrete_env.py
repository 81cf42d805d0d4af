"""The discretised view: spaces, features, and that nothing of the truth gets into them."""

from collections import defaultdict
from dataclasses import replace
from itertools import product

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv
from support.scripted import Coach, choice_question, gauge, mistake, numeric_question

from socratic_env import Question, SocraticEnv
from socratic_env.envs.discrete import (
    LARGEST,
    NUMBERS,
    OPTION_FEATURES,
    WORDS,
    DiscreteView,
    discrete,
    feature_count,
    features,
    word_tags,
)
from socratic_env.errors import ActionError, ConfigurationError, QuestionError, StepError
from socratic_env.questions import load_questions
from socratic_env.questions.procedural import TEMPLATES
from socratic_env.types import DOMAINS, Option

pytestmark = pytest.mark.filterwarnings("error")

ID = "SocraticSciKnow-Discrete-v0"
FIRST_OPTION = 1 + 2 * NUMBERS


def option_table(observation: np.ndarray, choices: int = 4) -> np.ndarray:
    """(choices, OPTION_FEATURES) of an observation."""
    return observation[FIRST_OPTION : FIRST_OPTION + choices * OPTION_FEATURES].reshape(choices, -1)


def masked(observation: np.ndarray) -> np.ndarray:
    """The observation without its hint tags."""
    return np.concatenate([observation[:-WORDS], np.zeros(WORDS, np.float32)])


def right_choice(view: DiscreteView) -> int:
    question = view.env.unwrapped.question
    return question.letters.index(question.answer)


# -- Gymnasium ---------------------------------------------------------------------------


@pytest.mark.parametrize("env_id", ["SocraticPhysics-v0", "SocraticSciKnow-OneQuestion-v0"])
def test_a_view_made_by_hand_passes_the_environment_checker(env_id):
    """The id of the view is checked with all others, rendering included."""
    check_env(DiscreteView(gym.make(env_id, max_attempts=3)), skip_render_check=True)


def test_the_id_makes_the_view():
    env = gym.make(ID, max_attempts=3, choices=5)
    view = env.unwrapped
    assert isinstance(view, DiscreteView)
    assert env.action_space == gym.spaces.Discrete(5)
    assert env.observation_space.shape == (feature_count(5),)
    assert env.observation_space.dtype == np.float32
    again = gym.make(env.spec)
    first, second = env.reset(seed=5), again.reset(seed=5)
    assert first[0].tobytes() == second[0].tobytes()
    assert first[1]["question_id"] == second[1]["question_id"]
    env.step((right_choice(view) + 1) % 4)
    assert env.unwrapped.usage["teacher"] == view.env.usage["teacher"]
    env.close()


def test_a_choice_becomes_the_reply_and_the_text_environment_decides():
    text = SocraticEnv(questions=[choice_question("q", "C")], max_attempts=3, reward="constant:0.5")
    view = DiscreteView(text)
    view.reset(seed=0)
    _, reward, terminated, truncated, info = view.step(np.int64(1))
    assert (reward, terminated, truncated, info["answer"], info["correct"]) == (0.0, False, False, "B", False)
    assert text.render_mode is None
    assert text.dialogue.attempts[-1].text.endswith("<answer>\nB\n</answer>")
    _, reward, terminated, truncated, info = view.step(2)
    assert (reward, terminated, truncated, info["correct"]) == (0.5, True, False, True)
    with pytest.raises(StepError, match="reset"):
        view.step(0)
    assert view.reset()[0][0] == 0


def test_the_information_is_that_of_the_text_environment_with_a_mask():
    text = SocraticEnv(questions=[choice_question("q", "A", letters="ABC")])
    view = DiscreteView(text)
    _, theirs = text.reset(seed=0)
    _, ours = view.reset(seed=0)
    assert set(ours) == set(theirs) - {"messages"} | {"action_mask"}
    assert (ours["guidance"], ours["attempt"], ours["correct"]) == ("", 0, False)
    assert ours["action_mask"].tolist() == [1, 1, 1, 0]
    assert view.action_space.sample(mask=ours["action_mask"]) < 3
    _, reward, *_, info = view.step(3)
    assert (reward, info["correct"], info["answer"]) == (0.0, False, "")
    assert "none of the letters" in info["verdict"]
    *_, info = view.step(0)
    assert info["correct"]


@pytest.mark.parametrize("mode", [None, "sync", "async"])
def test_vector_environments(mode):
    """gym.make_vec makes Gymnasium's own vector environments, SyncVectorEnv unless told otherwise."""
    envs = gym.make_vec(ID, num_envs=3, vectorization_mode=mode, max_attempts=3)
    assert isinstance(envs, AsyncVectorEnv if mode == "async" else SyncVectorEnv)
    observations, infos = envs.reset(seed=0)
    assert observations.shape == (3, feature_count(4))
    assert infos["action_mask"].tolist() == [[1] * 4] * 3
    single = gym.make(ID)
    assert observations[1].tobytes() == single.reset(seed=1)[0].tobytes()
    for _ in range(6):
        observations, *_ = envs.step(np.array([0, 1, 2]))
        assert observations in envs.observation_space
    envs.close()


# -- refusals ----------------------------------------------------------------------------


def test_questions_without_fitting_options_are_refused():
    for question, count in ((numeric_question(), 0), (choice_question("q", letters="ABCDE"), 5)):
        view = discrete(questions=[question])
        with pytest.raises(QuestionError, match=f"{question.id!r} has {count} options.* 4 choices; use"):
            view.reset(seed=0)
        with pytest.raises(QuestionError, match="has"):
            view.step(0)
    assert (
        discrete(5, questions=[choice_question("q", letters="ABCDE")]).reset(seed=0)[1]["action_mask"].all()
    )


@pytest.mark.parametrize("action", [4, -1, "B", 1.0, None])
def test_an_action_that_is_no_choice_is_refused_and_costs_nothing(action):
    view = discrete()
    view.reset(seed=0)
    with pytest.raises(ActionError, match=r"the action is .*; give a whole number 0\.\.3"):
        view.step(action)
    assert view.step(0)[0][0] == 1


@pytest.mark.parametrize("choices", [1, 27, 4.0, True, "4"])
def test_a_number_of_choices_that_cannot_be_is_refused(choices):
    with pytest.raises(ConfigurationError, match=r"choices is .*; give a whole number 2\.\.26"):
        discrete(choices)


def test_only_text_environments_can_be_viewed():
    with pytest.raises(ConfigurationError, match="give a text environment"):
        DiscreteView(gym.make("CartPole-v1"))
    with pytest.raises(ConfigurationError, match="env is 'SocraticSciKnow-v0'; give a text environment"):
        DiscreteView("SocraticSciKnow-v0")
    with pytest.raises(ConfigurationError, match="no_such"):
        discrete(no_such=1)


# -- features ----------------------------------------------------------------------------

OPTIONS = (Option("A", "20 m"), Option("B", "-5.0e-1 m"), Option("C", "it cannot be known"))


def test_features_stand_where_the_documentation_says():
    seen = features("A ball of 100 g falls for 0.1 s.", OPTIONS, [2, 0], "You took 4 halves.", 4)
    assert seen.dtype == np.float32
    assert len(seen) == feature_count(4)
    assert seen[0] == 2
    assert seen[1:FIRST_OPTION].tolist() == pytest.approx([1, 2, 1, -1] + [0] * 8)
    table = option_table(seen)
    assert table[0].tolist() == pytest.approx([1, 1, 1, np.log10(20), 1, 0])
    assert table[1].tolist() == pytest.approx([1, 0, 0, np.log10(0.5), -1, np.log(0.5 / 20)])
    assert table[2].tolist() == [1, 1, 0, 0, 0, 0]
    assert table[3].tolist() == [0] * 6
    assert seen[-2 * WORDS : -WORDS].tolist() == word_tags("a ball of g falls for s").tolist()
    assert seen[-WORDS:].tolist() == word_tags("HALVES took, you").tolist()
    assert seen[-WORDS:].sum() == 3


def test_features_of_odd_texts_stay_in_the_space():
    box = gym.spaces.Box(-LARGEST, LARGEST, (feature_count(4),), np.float32)
    texts = [
        "",
        "0",
        "1e999",
        "1e-320",
        "-" * 99,
        "9" * 5000,
        "1 2 3 4 5 6 7 8 9",
        "\u0663 \U0001f600",
        "H2O",
    ]
    for text, tried in product(texts, ([], [0], [1, 1])):
        seen = features(text, (Option("A", text), Option("B", "7")), tried, text, 4)
        assert seen in box, text
    assert features("H2O, x-2", (), [], "", 2)[1:FIRST_OPTION].tolist() == [0] * 12


@pytest.mark.parametrize("domain", DOMAINS)
def test_observations_lie_in_the_space(domain):
    view = discrete(domain=domain, max_attempts=3)
    for seed in range(30):
        observation, _ = view.reset(seed=seed)
        assert observation in view.observation_space
        terminated = False
        while not terminated:
            observation, _, terminated, _, _ = view.step(seed % 4)
            assert observation in view.observation_space


# -- nothing of the truth ----------------------------------------------------------------


def swapped(question: Question, answer: str) -> Question:
    """The same public part with another truth, and so with other mistakes and another solution."""
    others = tuple(mistake(letter) for letter in question.letters if letter != answer)
    return replace(question, answer=answer, solution=f"It is {answer}.", mistakes=others, rel_tol=0.5)


def test_swapping_the_truth_changes_nothing_that_is_observed():
    """With the same guidance, choices that are wrong under both truths give the same bytes."""
    questions = load_questions("procedural")
    for index in range(60):
        question = questions[index]
        other = next(letter for letter in question.letters if letter != question.answer)
        wrong = [i for i, letter in enumerate(question.letters) if letter not in (question.answer, other)]
        seen = []
        for one in (question, swapped(question, other)):
            view = discrete(questions=[one], teacher=Coach(), max_attempts=3)
            steps = [view.reset(seed=0), *((s[0], s[-1]) for s in map(view.step, wrong))]
            seen.append(
                [(observation.tobytes(), info["action_mask"].tobytes()) for observation, info in steps]
            )
        assert seen[0] == seen[1]


# -- hint tags -----------------------------------------------------------------------------


def best_score(see, attempts: int = 2) -> float:
    """The most that any policy on `see(observation)` can earn a question, by trying all policies:
    questions whose histories look the same get the same choice."""

    def best(worlds):
        """worlds: for each question that is still open, the choices made in it."""
        total, groups = 0.0, defaultdict(list)
        for truth, made in worlds:
            view = discrete(questions=[gauge(truth)], max_attempts=attempts + 1, reward="full")
            observation, _ = view.reset(seed=0)
            for choice in made:
                observation, *_ = view.step(choice)
            groups[see(observation).tobytes()].append((truth, made))
        for group in groups.values():
            total += max(
                sum(truth == choice for truth, _ in group)
                + (
                    best([(truth, (*made, choice)) for truth, made in group if truth != choice])
                    if len(group[0][1]) + 1 < attempts
                    else 0.0
                )
                for choice in range(4)
            )
        return total

    return best([(truth, ()) for truth in range(4)]) / 4


def test_hint_tags_raise_what_can_be_reached_at_all():
    """Exact, over all policies: a random choice earns 1 - (3/4)^2, the best blind one 1/2."""
    assert best_score(lambda seen: seen) == 1.0
    assert best_score(masked) == 0.5


def rotation(split: str, count: int) -> list[Question]:
    """Items of level easy of the family that the examples learn."""
    template = TEMPLATES["procedural"]["rotation_period"]
    return [item for n in range(3 * count) if (item := template.item(split, n)).level == "easy"]


class RatioAgent:
    """Remembers, for each hint, by what factor the right option differed from the one tried."""

    def __init__(self, see) -> None:
        self.see = see
        self.ratios = defaultdict(list)

    def key(self, observation):
        return self.see(observation)[-WORDS:].tobytes()

    def learn(self, observation, choice) -> None:
        self.ratios[self.key(observation)].append(option_table(observation)[choice, 5])

    def choose(self, observation) -> int:
        table = option_table(observation)
        far = np.abs(table[:, 5] - np.median(self.ratios[self.key(observation)]))
        return int(np.argmin(np.where(table[:, 1] > 0, np.inf, far)))


def score(agent: RatioAgent) -> float:
    """Mean reward on held-out items after learning from choices and rewards alone; K = 2."""
    rng = np.random.default_rng(0)
    view = discrete(questions=rotation("train", 600), reward="full")
    for _ in range(800):
        view.reset()
        choice = rng.integers(4)
        observation, reward, *_ = view.step(choice)
        if not reward:
            choice = rng.choice([i for i in range(4) if i != choice])
            if view.step(choice)[1]:
                agent.learn(observation, choice)
    held_out = rotation("test", 200)
    view, total = discrete(questions=held_out, reward="full"), 0.0
    for question in held_out:
        view.reset(options={"question_id": question.id})
        observation, reward, *_ = view.step(0)
        total += reward if reward else view.step(agent.choose(observation))[1]
    return total / len(held_out)


def test_the_best_achievable_reward_of_the_examples_is_one():
    """Each held-out item pays at most 1, and an agent that reads hint tags gets all of it."""
    assert score(RatioAgent(lambda seen: seen)) == 1.0
    assert score(RatioAgent(masked)) < 0.75
