"""`socratic rescore` and `socratic export`: stored replies judged anew, and as rows that TRL reads."""

import json
import shutil
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
from support.made_runs import made_run
from support.scripted import right, wrong

from agents.config import TrainConfig
from agents.runs.log import RunLog
from socratic_env.cli import main
from socratic_env.evaluation.measured import read_measured
from socratic_env.evaluation.rescoring import paid
from socratic_env.evaluation.stored_episodes import read_episodes
from socratic_env.questions import QuestionList, load_questions
from socratic_env.records.run_folder import read_lines
from socratic_env.types import Verdict
from socratic_env.verifiers import by_kind


def never(question, text):
    """A verifier that holds every reply for wrong."""
    return Verdict(False, None, "never")


async def shows_answer(question, text):
    """An awaited verifier that looks for the right option's letter anywhere."""
    return Verdict(f"option {question.answer}" in text, question.answer, "shown")


def contradicts(question, text):
    """The other way round."""
    verdict = by_kind(question, text)
    return Verdict(not verdict.correct, verdict.answer, "contrary")


def points(question, text):
    """A search for leaks that finds one in every text."""
    return ["points"]


MENDED = []
"""Ids of the questions that are left: the truth of the first was wrong, the second asks something else."""


def mended(domain, split):
    """The source of these questions."""
    found = load_questions("procedural", split=split)
    first, second, *others = [found.find(name) for name in MENDED]
    other = next(letter for letter in first.letters if letter != first.answer)
    changed = [replace(first, answer=other), replace(second, statement=f"{second.statement} Why?")]
    return QuestionList([*changed, *others])


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluations") / "run"
    command = ["eval", "--out", str(folder), "--number", "8", "--samples", "4", "--habits.knows", "0.3"]
    assert main(command) == 0
    return folder


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    """A run folder of two batches that were really played, with exact rewards."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    log = RunLog(folder, TrainConfig(questions="procedural", max_attempts=3, run_dir=folder))
    env = gym.make_vec("SocraticSciKnow-v0", num_envs=24, rollouts_per_question=4, max_attempts=3)
    rng = np.random.default_rng(0)
    for step in (1, 2):
        env.reset(seed=step)
        for _ in range(3):
            questions = [env.batch.dialogue(row).question for row in range(24)]
            env.step([right(q) if rng.random() < 0.4 else wrong(q) for q in questions])
        log.episodes(step, env.episodes())
    env.close()
    log.close()
    return folder


@pytest.fixture
def asked(capsys):
    """What a command prints as JSON, by its arguments."""

    def ask(*arguments, status=0):
        capsys.readouterr()
        assert main([*map(str, arguments), "--json"]) == status
        return json.loads(capsys.readouterr().out)

    return ask


# -- rescore ---------------------------------------------------------------------------------


def test_the_same_judges_change_nothing(evaluation, training, asked):
    for folder in (evaluation, training):
        found = asked("rescore", folder)
        assert found["changes"] == []
        assert found["episodes"] == len(read_lines(folder / "episodes.jsonl"))
        assert all(metric["difference"] == 0 for metric in found["metrics"].values())
        assert found["questions"] == {"there": found["questions"]["there"], "gone": [], "changed": []}


def test_the_share_before_is_the_evaluations(evaluation, asked):
    found, result = asked("rescore", evaluation), json.loads((evaluation / "result.json").read_text())["all"]
    metrics = found["metrics"]
    assert metrics["unassisted"]["before"]["value"] == pytest.approx(result["unassisted"]["value"])
    assert metrics["guided <= 2"]["after"]["value"] == pytest.approx(result["guided"]["2"]["value"])


def test_what_was_right_and_is_wrong_is_open_or_lost(evaluation, tmp_path, asked):
    found = asked("rescore", evaluation, "--verifier", f"{__name__}:never", "--out", tmp_path / "new")
    records = read_lines(evaluation / "episodes.jsonl")
    at_once = sum(r["stop"] == "solved" and len(r["attempts"]) == 1 for r in records)
    later = sum(r["stop"] == "solved" and len(r["attempts"]) == 2 for r in records)
    assert at_once
    assert later
    assert found["verdicts"]["became_wrong"] == at_once + later
    assert found["left_open"] == at_once, "nobody knows the second attempt"
    assert found["metrics"]["unassisted"]["after"]["value"] == 0
    after = found["metrics"]["guided <= 2"]["after"]
    assert (after["lower"], after["upper"]) == (0, pytest.approx(at_once / len(records)))
    assert read_measured(tmp_path / "new").open == at_once
    assert asked("compare", evaluation, tmp_path / "new")["settings"]["rescored.verifier"] == [
        None,
        f"{__name__}:never",
    ]


def test_what_is_right_now_ends_its_episode(training, tmp_path, asked):
    found = asked("rescore", training, "--verifier", f"{__name__}:contradicts", "--out", tmp_path / "new")
    before, after = (read_lines(folder / "episodes.jsonl") for folder in (training, tmp_path / "new"))
    wrong_at_first = sum(not r["attempts"][0]["correct"] for r in before)
    assert found["ended_earlier"] == wrong_at_first
    ended = [r for r in after if r["stop"] == "solved"]
    assert len(ended) == wrong_at_first
    assert all(len(r["attempts"]) == 1 and r["attempts"][0]["guidance"] is None for r in ended)
    assert found["left_open"] == len(before) - wrong_at_first


def test_a_verifier_may_be_awaited(evaluation, asked):
    found = asked("rescore", evaluation, "--verifier", f"{__name__}:shows_answer")
    assert found["verdicts"]["unjudged"] == 0
    assert found["verdicts"]["became_wrong"] == 0, "a right working names its option"


def test_rewards_are_those_of_the_batch(training):
    stored = read_episodes(training)
    again = paid(stored.records, 3, "decay")
    assert again == stored.records
    assert {a["reward"] for r in again for a in r["attempts"]} - {0.0, 1.0}, "mu is no constant"
    full = [a for r in paid(stored.records, 3, "full") for a in r["attempts"]]
    assert all(a["reward"] == float(a["correct"]) for a in full)


def test_leaks_are_searched_for_anew(evaluation, asked):
    found = asked("rescore", evaluation, "--detector", f"{__name__}:points")
    told = [a for r in read_lines(evaluation / "episodes.jsonl") for a in r["attempts"] if a["guidance"]]
    assert found["leaks"] == {"found": sum(not a["leaks"] for a in told), "gone": 0}
    assert len(found["changes"]) == len(told)


def test_mended_questions_give_other_verdicts(evaluation, asked):
    """The truth of a question was wrong in the data, and its text is another for a second one."""
    ids = sorted({r["question_id"] for r in read_lines(evaluation / "episodes.jsonl")})
    MENDED[:] = ids[:6]
    told = asked("rescore", evaluation, "--questions", f"{__name__}:mended")
    assert told["questions"] == {"there": 6, "gone": ids[6:], "changed": [ids[1]]}
    assert {change["question_id"] for change in told["changes"]} == {ids[0]}
    assert told["verdicts"]["became_wrong"] > 0


def test_what_cannot_be_rescored_is_refused(evaluation, training, tmp_path, capsys):
    empty = made_run(tmp_path / "empty", 0)
    strange = shutil.copytree(evaluation, tmp_path / "strange")
    (strange / "episodes.jsonl").write_text('{"question_id": "q", "sample": 0}\n')
    for arguments, message in [
        ([tmp_path / "missing"], "is no folder"),
        ([empty], "has no episodes yet"),
        ([strange], "no run of this version wrote"),
        ([evaluation, "--verifier", "nothing"], "nothing"),
        ([evaluation, "--questions", "concepts"], "is found any more"),
        ([evaluation, "--out", training], "is there already"),
        ([evaluation, "--resamples", "0"], "at least 1"),
    ]:
        capsys.readouterr()
        assert main(["rescore", *map(str, arguments)]) == 2, arguments
        assert message in capsys.readouterr().err, arguments


def test_the_report_is_short(training, capsys):
    assert main(["rescore", str(training), "--verifier", f"{__name__}:contradicts"]) == 0
    told = capsys.readouterr().out
    assert "became right" in told
    assert "more; --json has all of them" in told
    assert len(told.splitlines()) < 25


# -- export ----------------------------------------------------------------------------------


def test_right_replies_stand_after_their_question(evaluation, training, asked):
    for folder in (evaluation, training):
        told = asked("export", folder)
        rows = read_lines(folder / "prompt-completion.jsonl")
        assert told["rows"] == len(rows) > 0
        solved = [r for r in read_lines(folder / "episodes.jsonl") if r["stop"] == "solved"]
        assert len(rows) + sum(told["left_out"].values()) == len(solved)
        questions = read_episodes(folder).questions
        for row in rows:
            question = questions.find(row["question_id"])
            assert row["prompt"][-1] == {"role": "user", "content": question.text}
            (said,) = row["completion"]
            assert by_kind(question, said["content"]).correct
            assert row["run"] == "run"
            assert row["settings"] == told["settings"]


def test_pairs_are_of_one_dialogue(training, asked):
    told = asked("export", training, "--form", "preference")
    stored = {(r["step"], r["row"]): r for r in read_lines(training / "episodes.jsonl")}
    rows = read_lines(training / "preference.jsonl")
    assert told["rows"] == len(rows) > 3
    assert {row["attempt"] for row in rows} == {2, 3}
    for row in rows:
        attempts = stored[row["step"], row["row"]]["attempts"]
        assert row["rejected"][0]["content"] == attempts[0]["text"]
        assert row["chosen"][0]["content"] == attempts[row["attempt"] - 1]["text"]
        assert [message["role"] for message in row["prompt"]] == ["system", "user"]


def test_a_corrected_reply_may_stand_after_its_dialogue(training, tmp_path, asked):
    asked("export", training, "--context", "dialogue", "--out", tmp_path / "rows.jsonl")
    rows = read_lines(tmp_path / "rows.jsonl")
    later = [row for row in rows if row["attempt"] == 3]
    assert later
    roles = [message["role"] for message in later[0]["prompt"]]
    assert roles == ["system", "user", "assistant", "user", "assistant", "user"]


def test_what_is_no_example_is_left_out(training, tmp_path, asked):
    folder = shutil.copytree(training, tmp_path / "run")
    records = read_lines(folder / "episodes.jsonl")
    at_once, later, other, gone = [
        next(r for r in records if r["stop"] == "solved" and len(r["attempts"]) == 1),
        *[r for r in records if r["stop"] == "solved" and len(r["attempts"]) == 2][:3],
    ]
    at_once["attempts"][0]["finished"] = False
    later["attempts"][0]["leaks"] = ["letter"]
    other["question"] += " And why?"
    gone["question_id"] = "nowhere"
    (folder / "episodes.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    left = asked("export", folder)["left_out"]
    assert {name: left[name] for name in ("cut", "leaked", "question changed", "question gone")} == {
        "cut": 1,
        "leaked": 1,
        "question changed": 1,
        "question gone": 1,
    }


def test_an_export_without_rows_says_so(training, tmp_path, capsys, asked):
    folder = shutil.copytree(training, tmp_path / "run")
    records = [r for r in read_lines(folder / "episodes.jsonl") if r["stop"] != "solved"]
    (folder / "episodes.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    assert asked("export", folder, status=1)["rows"] == 0
    assert main(["export", str(folder)]) == 1
    assert "no episode ended right" in capsys.readouterr().out


def test_what_cannot_be_exported_is_refused(training, tmp_path, capsys):
    for arguments, message in [
        ([training, "--out", tmp_path], "cannot be written"),
        ([training, "--form", "preference", "--context", "dialogue"], "leave --context out"),
    ]:
        assert main(["export", *map(str, arguments)]) == 2
        assert message in capsys.readouterr().err


def test_trl_reads_the_rows(training, tmp_path, asked, tiny_student):
    from datasets import load_dataset
    from trl.data_utils import is_conversational, maybe_apply_chat_template

    for form, keys in (("prompt-completion", ["completion"]), ("preference", ["chosen", "rejected"])):
        asked("export", training, "--form", form, "--out", tmp_path / f"{form}.jsonl")
        data = load_dataset(
            "json", data_files=str(tmp_path / f"{form}.jsonl"), split="train", cache_dir=tmp_path
        )
        assert is_conversational(data[0])
        texts = maybe_apply_chat_template(data[0], tiny_student[1])
        for key in keys:
            assert data[0][key][0]["content"] in texts[key]
        assert data[0]["prompt"][-1]["content"] in texts["prompt"]


@pytest.mark.slow
def test_trainers_of_trl_learn_from_the_rows(training, tmp_path, asked, tiny_student):
    import copy

    from datasets import load_dataset
    from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

    model, tokenizer, _ = tiny_student
    fixed = {"use_cpu": True, "bf16": False, "report_to": "none", "save_strategy": "no", "disable_tqdm": True}
    fixed |= {"max_steps": 1, "per_device_train_batch_size": 2, "logging_steps": 1, "max_length": 256}
    for form, config, trainer in (
        ("prompt-completion", SFTConfig, SFTTrainer),
        ("preference", DPOConfig, DPOTrainer),
    ):
        asked("export", training, "--form", form, "--out", tmp_path / f"{form}.jsonl")
        data = load_dataset(
            "json", data_files=str(tmp_path / f"{form}.jsonl"), split="train", cache_dir=tmp_path
        )
        made = trainer(
            copy.deepcopy(model),
            args=config(str(tmp_path / form), **fixed),
            train_dataset=data,
            processing_class=tokenizer,
        )
        loss = made.train().training_loss
        assert np.isfinite(loss)
        assert loss > 0
