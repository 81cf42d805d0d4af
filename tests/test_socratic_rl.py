"""Socratic-RL's loop: the order of Algorithm 1, what becomes of viewpoints, and going on after a stop."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import pytest

from agents.learning.learner import Learner
from agents.learning.samples import Completion
from agents.options import TinyStudent
from agents.socratic_rl.events import EVENTS, VIEWPOINTS
from agents.socratic_rl.loop import PHASES, check_reflection, socratic_rl
from agents.socratic_rl.modular_reflector import ModularReflector
from agents.socratic_rl.program import PRESETS, PROGRAM, SocraticRLConfig, ViewpointDistillation
from agents.socratic_rl.run_steps import measured
from agents.teaching.__main__ import main as teach
from agents.train import main
from agents.warm_start.modular_student import make_tokenizer, principle
from agents.warm_start.word_student import END, make_student
from socratic_env.errors import ConfigurationError, TeacherDown, TeacherError
from socratic_env.models.chat import Chat
from socratic_env.questions.modular import ModularQuestions
from socratic_env.records.run_folder import METRICS, read_lines
from socratic_env.reflection import Reflection, Reflector
from socratic_env.viewpoints import KnowledgeBase, Viewpoint

TOKENIZER = make_tokenizer()
HELD = ("left_to_right", "keep_signs")
CONFIG = replace(
    PRESETS["modular"],
    steps=4,
    questions_per_step=48,
    rollouts_per_question=1,
    questions_per_minibatch=48,
    reinforce=False,
    distil=ViewpointDistillation(every=2, steps=2),
    tiny=TinyStudent(hidden=32, layers=1),
)


class Scripted:
    """A policy that makes its mistakes where no viewpoint speaks of them; held None: it is always wrong."""

    max_model_len = 96

    def __init__(self, held=HELD) -> None:
        self.held, self.loads = held, 0
        questions = ModularQuestions("train")
        self._questions = {questions[i].statement: questions[i] for i in range(len(questions))}

    def generate(self, prompts, sampling, seed):
        said = []
        for prompt in prompts:
            text = TOKENIZER.decode(prompt)
            question = self._questions[text.split("<|user|>")[1].split(END)[0].strip()]
            if self.held is None:
                ids = TOKENIZER(f"<answer> + </answer> {END}", add_special_tokens=False)["input_ids"]
                said.append(Completion(ids, [0.0] * len(ids), True))
                continue
            told = [name for name in self.held if principle(name).text not in text]
            wrong = [m.answer for m in question.mistakes if m.name in told]
            answer = wrong[0] if wrong else question.answer
            ids = TOKENIZER(f"<answer> {answer} </answer> {END}", add_special_tokens=False)["input_ids"]
            said.append(Completion(ids, [0.0] * len(ids), True))
        return said

    def load_weights(self, weights):
        self.loads += 1

    def close(self):
        pass


class Written:
    def __init__(self):
        self.events, self.steps, self.rows = [], [], []

    def event(self, step, phase, what):
        self.events.append((step, phase, what))

    def instructions(self, step, rows):
        self.rows += rows

    def metrics(self, kind, step, values):
        self.steps.append((step, values))

    def episodes(self, step, episodes, details=None):
        pass


@pytest.fixture(scope="module")
def run():
    """A scripted run: (config, policy, what was written, the base)."""

    def play(config: SocraticRLConfig = CONFIG, held=HELD):
        policy, log, base, chat = Scripted(held), Written(), KnowledgeBase(cap=config.cap), Chat(TOKENIZER)
        kwargs = config.env_kwargs() | {"teacher": "retry", "viewpoints": base}
        env = gym.make_vec(config.env, num_envs=48, **kwargs)
        learner = Learner(make_student(config.tiny, TOKENIZER), TOKENIZER.pad_token_id, config)
        measure, _ = measured(config, policy, chat, env.questions)
        teacher = ModularReflector(min_seen=1)
        metrics = list(socratic_rl(config, env, policy, chat, learner, log, base, teacher, measure))
        env.close()
        return policy, log, base, metrics

    return play


def test_the_order_of_events_is_that_of_algorithm_1(run):
    _, log, base, metrics = run()
    phases = [(step, phase) for step, phase, _ in log.events]
    assert phases == [
        (step, phase) for step in range(1, 5) for phase in PHASES if phase != "distillation" or step in (2, 4)
    ]
    of = {(step, phase): what for step, phase, what in log.events}
    ids = {name: one.id for name in HELD for one in base if one.text == principle(name).text}
    assert of[1, "interaction"]["viewpoints"] == []
    assert set(ids.values()) <= set(of[1, "reflection"]["proposed"])
    assert set(of[1, "meta-learning"]["accepted"]) == set(ids.values())
    assert set(of[2, "interaction"]["viewpoints"]) == set(ids.values())
    assert of[2, "interaction"]["solved"] == 48 > of[1, "interaction"]["solved"]
    assert set(of[2, "distillation"]["viewpoints"]) == set(ids.values())
    active = [m["viewpoints_active"] for m in metrics]
    assert (active[0], active[1], active[3]) == (2, 0, 0)  # V is emptied, the base is kept
    assert len(base) >= 2


def test_the_base_tells_where_a_viewpoint_came_from_and_what_it_was_worth(run):
    _, _, base, _ = run()
    for name in HELD:
        one = next(one for one in base if one.trigger == name)
        assert one.traces
        assert one.utility is not None
        assert one.utility.value > 0.5
        said = [event.what for event in base.history if one.id in event.ids]
        assert said[:4] == ["proposed", "measured", "activated", "distilled"]


def test_right_workings_with_viewpoints_are_rows_for_instruction_tuning(run):
    _, log, _, _ = run()
    assert log.rows
    questions = ModularQuestions("train")
    for row in log.rows:
        question = questions.find(row["id"])
        shown = [name for name in HELD if principle(name).text in row["instruction"].splitlines()]
        assert shown == [name for name in HELD if name in {m.name for m in question.mistakes}]
        assert question.answer in row["output"]
        assert row["input"] == question.text


def test_what_the_teacher_gives_is_counted_by_kind_and_by_how_different_it_is(run):
    _, _, _, metrics = run()
    assert metrics[0]["reflection_distinct"] >= len(HELD)
    assert metrics[0]["reflection_entropy"] > 0
    assert metrics[0]["reflection_share_principle"] == 1


def test_what_does_not_help_is_not_shown(run):
    _, _, base, _ = run(replace(CONFIG, steps=1), held=("left_to_right",))
    assert [one.trigger for one in base.active] == ["left_to_right"]
    others = [one for one in base if one.trigger != "left_to_right"]
    assert all(one.utility is None or one.utility.value < 0.03 for one in others)


def test_without_reflection_only_right_workings_are_learnt_from(run):
    _, log, base, _ = run(replace(CONFIG, reflect=False))
    assert {phase for _, phase, _ in log.events} == {"interaction", "distillation"}
    assert len(base) == 0


def test_a_distillation_without_anything_right_is_skipped_and_said(run):
    policy, log, _, _ = run(replace(CONFIG, reflect=False, steps=2), held=None)
    found = next(what for _, phase, what in log.events if phase == "distillation")
    assert "none is right" in found["skipped"]
    assert policy.loads == 0


@pytest.mark.parametrize("method", ["kl", "dpo"])
def test_every_method_runs_in_the_loop(run, method):
    config = replace(CONFIG, steps=2, distil=ViewpointDistillation(method, every=2, steps=2))
    policy, log, _, _ = run(config)
    found = next(what for _, phase, what in log.events if phase == "distillation")
    assert found["workings"] > 0
    assert policy.loads == 1


def test_right_workings_are_learnt_from_without_viewpoints_if_wanted(run):
    for always in (False, True):
        config = replace(CONFIG, steps=2, distil=ViewpointDistillation(every=2, steps=2, always=always))
        _, log, _, _ = run(config, held=())
        assert any(phase == "distillation" for _, phase, _ in log.events) is always


def test_reinforcement_learning_runs_inside(run):
    policy, _, _, metrics = run(replace(CONFIG, reinforce=True, steps=1))
    assert policy.loads == 1
    assert "loss" in metrics[0] or "skipped" in metrics[0]


def test_settings_that_cannot_work_are_refused():
    with pytest.raises(ConfigurationError, match="give a multiple"):
        replace(CONFIG, eval_every=3)
    with pytest.raises(ConfigurationError, match="nothing to learn from without viewpoints"):
        replace(CONFIG, distil=ViewpointDistillation("kl", every=2, always=True))
    with pytest.raises(ConfigurationError, match="there are no viewpoints to distil"):
        replace(CONFIG, reflect=False, distil=ViewpointDistillation("kl", every=2))


SMALL = [
    "--modular.schooling-steps", "30", "--modular.steps", "5", "--modular.schooling-batch", "32",
    "--modular.batch", "32", "--questions-per-step", "12", "--rollouts-per-question", "2",
    "--questions-per-minibatch", "12", "--distil.every", "2", "--distil.steps", "3", "--eval-every", "2",
    "--eval-questions", "12", "--probes", "8",
    "--reflector", "test_socratic_rl:Always",
]  # fmt: skip


class Always(Reflector):
    """Proposes the same whatever it reads."""

    async def consider(self, traces):
        return Reflection(tuple(Viewpoint(principle(name).text, trigger=name) for name in HELD))


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SOCRATIC_CACHE", str(tmp_path / "cache"))
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert main([*SMALL, "--steps", "4", "--run-dir", str(whole)], PROGRAM) == 0
    assert main([*SMALL, "--steps", "3", "--run-dir", str(parts)], PROGRAM) == 0
    lines = (parts / VIEWPOINTS).read_text().splitlines()
    (parts / VIEWPOINTS).write_text("\n".join([*lines, lines[0]]) + "\n")  # of a step that is made again
    assert main(["--resume", str(parts), "--steps", "4"], PROGRAM) == 0

    def told(folder):
        events = read_lines(folder / EVENTS)
        metrics = [r for r in read_lines(folder / METRICS) if r["kind"] == "train"]
        kept = [{k: v for k, v in r.items() if "seconds" not in k and "time" not in k} for r in metrics]
        base = [{k: v for k, v in json.loads(line).items() if k != "time"} for line in
                (folder / VIEWPOINTS).read_text().splitlines()]  # fmt: skip
        for one in base:
            one.get("viewpoint", {}).pop("created", None)
        return events, base, [sorted(r) for r in kept], [r["unassisted"] for r in kept]

    assert told(whole) == told(parts)
    assert {event["what"] for event in told(whole)[1]} >= {"proposed", "measured", "merged"}
    assert (parts / "report.html").is_file()
    capsys.readouterr()


def test_the_code_of_the_page_runs(capsys):
    text = (Path(__file__).parents[1] / "docs" / "socratic_rl.md").read_text(encoding="utf-8")
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(compile(block, "socratic_rl.md", "exec"), {})
    assert " -> " in capsys.readouterr().out


def test_the_options_of_the_page_exist(capsys):
    text = (Path(__file__).parents[1] / "docs" / "socratic_rl.md").read_text(encoding="utf-8")
    with pytest.raises(SystemExit):
        main(["--help"], PROGRAM)
    for task in ("viewpoints", "guidance"):
        with pytest.raises(SystemExit):
            teach([task, "--help"])
    shown = capsys.readouterr().out
    for option in set(re.findall(r"--[a-z][a-z.-]+", text)) - {"--resume", "--preset", "--help"}:
        assert option in shown, option


def test_a_reflecting_teacher_that_is_down_stops_the_run():
    down = Reflection(faults=(TeacherError("gone"), TeacherError("connection refused")))
    with pytest.raises(TeacherDown, match=r"failed 2 requests.*connection refused.*--resume"):
        check_reflection(down, 0.5)
    check_reflection(down, 1.0)
    check_reflection(down + Reflection((Viewpoint("a"), Viewpoint("b"))), 0.5)
    check_reflection(Reflection(), 0.0)
