"""Train a student: `python -m agents.train --preset tiny`; `--help` shows every setting."""

from __future__ import annotations

import importlib.util
import sys
import time
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
import transformers
import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from agents.checkpoint import latest_checkpoint, load_trainer_state, save_checkpoint
from agents.config import PRESETS, TrainConfig
from agents.evaluate import Evaluation, bootstrap_interval
from agents.learner import Learner
from agents.policies.base import Policy
from agents.report import write_report
from agents.runlog import CHECKPOINTS, CONFIG, EVALUATIONS, RunLog, read_lines
from agents.students import make_model, make_tokenizer, sample_texts, warm_start
from agents.trainer import Evaluator, make_env, train
from socratic_env.chat import Chat
from socratic_env.errors import ConfigurationError, SocraticError, unknown
from socratic_env.questions import QuestionSet, load_questions

console = Console(stderr=True)


def parse(arguments: list[str]) -> tuple[TrainConfig, Path | None]:
    """(configuration, folder to resume) of a command line: `--preset` or `--resume` gives the
    defaults, further options change them."""
    chosen, rest = _take(arguments, {"--preset", "--resume"})
    preset, resume = chosen.get("--preset", "tiny"), chosen.get("--resume")
    if preset not in PRESETS:
        raise unknown("preset", preset, PRESETS)
    default = PRESETS[preset]
    folder = Path(resume) if resume is not None else None
    if folder is not None:
        if not (folder / CONFIG).is_file():
            raise ConfigurationError(f"--resume {folder}: no {CONFIG} there; give the folder of a run")
        default = replace(
            TrainConfig.from_json((folder / CONFIG).read_text(encoding="utf-8")), run_dir=folder
        )
    elif default.run_dir is None:
        default = replace(default, run_dir=Path("runs") / f"{preset}-{datetime.now():%Y%m%d-%H%M%S}")
    description = (
        f"{TrainConfig.__doc__}\n\nBefore all others: --preset {{{','.join(PRESETS)}}} (default: tiny), or "
        "--resume DIR to go on with an interrupted run."
    )
    config = tyro.cli(
        TrainConfig, args=rest, default=default, prog="python -m agents.train", description=description
    )
    return config, folder


def _take(arguments: list[str], names: set[str]) -> tuple[dict[str, str], list[str]]:
    """(values of these options, all other arguments)."""
    taken, rest = {}, []
    remaining = iter(arguments)
    for argument in remaining:
        name, given, value = argument.partition("=")
        if name in names:
            taken[name] = value if given else next(remaining, "")
        else:
            rest.append(argument)
    return taken, rest


def main(arguments: list[str] | None = None) -> int:
    """Run a training; 0: fine, 1: ran and failed, 2: unusable arguments."""
    try:
        config, resume = parse(sys.argv[1:] if arguments is None else arguments)
        if config.run_dir is None:
            raise ConfigurationError("run_dir is None; give a folder")
        environments = partial(make_env, config)
        env = environments("train", config.questions_per_step, config.rollouts_per_question)
        place = latest_checkpoint(resume / CHECKPOINTS) if resume is not None else None
        state = load_trainer_state(place) if place is not None else None
        log = RunLog(config.run_dir, config, None if state is None else state["step"])
    except (SocraticError, gymnasium.error.Error, OSError) as error:
        return fail(error, 2)
    try:
        run(config, env, environments, log, place, state)
    except (SocraticError, OSError) as error:
        return fail(error, 1)
    finally:
        log.close()
        env.close()
    return 0


def fail(error: Exception, status: int) -> int:
    """Say what is wrong in one line."""
    console.print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
    return status


def run(
    config: TrainConfig,
    env: Any,
    environments: Any,
    log: RunLog,
    place: Path | None,
    state: dict[str, Any] | None,
) -> None:
    """The whole job: student, evaluation, training, evaluation, report. `place` and `state` are a
    checkpoint to go on from."""
    started = time.perf_counter()
    transformers.utils.logging.disable_progress_bar()
    checkpoints = log.folder / CHECKPOINTS
    with progress_bar() as progress:
        if place is None:
            model, tokenizer = make_student(config, env.questions, progress)
            place = save_checkpoint(checkpoints, 0, model, tokenizer, Learner(model, 0, config))
        else:
            model, tokenizer = load_student(place)
        model.to("cuda" if torch.cuda.is_available() else "cpu")
        chat = Chat(tokenizer)
        progress.console.print(f"student: {sum(p.numel() for p in model.parameters()):,} parameters")
        policy = make_policy(config, place, model, tokenizer, progress)
        evaluator = Evaluator(config, environments, policy, chat, log)
        learner = Learner(model, tokenizer.pad_token_id, config)
        first = 0
        if state is not None:
            first = state["step"]
            learner.load_state(state)
        if not read_lines(log.folder / EVALUATIONS):
            show(progress.console, 0, evaluator(0))
        bar = progress.add_task("training", total=config.steps, completed=first, status="")
        for step, metrics in enumerate(train(config, env, policy, chat, learner, log, first), first + 1):
            status = (
                f"unassisted {metrics['unassisted']:.2f}  guided {metrics['guided']:.2f}  "
                f"mu {metrics['mu_1']:.2f}  {metrics['seconds']:.1f} s/step"
            )
            progress.update(bar, completed=step, status=status)
            if step % config.eval_every == 0 or step == config.steps:
                show(progress.console, step, evaluator(step))
                place = save_checkpoint(checkpoints, step, model, tokenizer, learner)
    evaluator.close()
    policy.close()
    report = write_report(log.folder)
    summary(log.folder)
    console.print(f"checkpoint: {place}", highlight=False, soft_wrap=True)
    console.print(f"report: {report.resolve()}", highlight=False, soft_wrap=True)
    console.print(f"{time.perf_counter() - started:.0f} s in all", highlight=False)


def make_student(config: TrainConfig, questions: QuestionSet, progress: Progress) -> tuple[Any, Any]:
    """(model, tokenizer): the tiny one, made and warm-started here, or a local folder."""
    if config.student != "tiny":
        if not Path(config.student).is_dir():
            raise ConfigurationError(f"student {config.student!r} is neither 'tiny' nor a local folder")
        tokenizer = transformers.AutoTokenizer.from_pretrained(config.student)
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        return transformers.AutoModelForCausalLM.from_pretrained(
            config.student, dtype=torch.float32
        ), tokenizer
    lessons = warm_questions(config, questions)
    tokenizer = make_tokenizer(sample_texts(lessons, 4000, config.seed), config.tiny.vocabulary)
    model = make_model(config.tiny, tokenizer, config.seed)
    bar = progress.add_task("warm start", total=config.tiny.warm_steps, status="")

    def advance(step: int, loss: float) -> None:
        progress.update(bar, completed=step, status=f"loss {loss:.3f}")

    warm_start(model, tokenizer, lessons, config.tiny, config.seed, advance)
    return model, tokenizer


def load_student(folder: Path) -> tuple[Any, Any]:
    """(model, tokenizer) of a local folder in transformers' format."""
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{folder} holds no model in transformers' format: {error}") from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return model, tokenizer


def warm_questions(config: TrainConfig, questions: QuestionSet) -> QuestionSet:
    """Questions with worked solutions to warm-start on."""
    if config.warm_questions is not None:
        return load_questions(config.warm_questions, split="train")
    first = questions[0]
    if first.solution is not None and first.mistakes:
        return questions
    console.print("the questions have no worked solutions: warm start on 'procedural'", highlight=False)
    return load_questions("procedural", config.domain, "train")


def make_policy(config: TrainConfig, folder: Path, model: Any, tokenizer: Any, progress: Progress) -> Policy:
    """The sampler: vLLM where it is installed, else transformers on the learner's own model."""
    eos, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    if config.policy == "server":
        from agents.policies.server import connect

        assert config.run_dir is not None
        progress.console.print(f"sending weights to {', '.join(config.servers)}", highlight=False)
        sync_folder = config.sync_folder or config.run_dir / "sync"
        weights = model.named_parameters()
        return connect(config.servers, config.sync, sync_folder, weights, eos, config.max_model_len)
    has_vllm = importlib.util.find_spec("vllm") is not None
    if config.policy == "vllm" and not has_vllm:
        raise ConfigurationError(
            "policy 'vllm' needs vLLM: install socratic-env[cpu] or [gpu], or use --policy transformers"
        )
    if config.policy != "transformers" and has_vllm:
        from agents.policies.vllm import VLLMPolicy

        progress.console.print("starting vLLM")
        return VLLMPolicy(folder, eos, config.max_model_len, seed=config.seed)
    from agents.policies.transformers import TransformersPolicy

    return TransformersPolicy(model, eos, pad, config.max_model_len)


def progress_bar() -> Progress:
    """The live display of a run."""
    return Progress(
        TextColumn("{task.description:<10}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[status]}"),
        TimeRemainingColumn(),
        console=console,
    )


def show(out: Console, step: int, results: dict[str, Evaluation]) -> None:
    """One line for an evaluation."""
    sampled, greedy = results["sampled"], results["greedy"]
    most = sampled.solved_QSK.shape[2]
    out.print(
        f"step {step:4d}  held-out  unassisted {sampled.accuracy():.3f} (greedy {greedy.accuracy():.3f})  "
        f"guided {sampled.accuracy(most):.3f}  correction rate {sampled.correction_rate():.3f}",
        highlight=False,
        soft_wrap=True,
    )


def summary(folder: Path) -> None:
    """Accuracy before and after, and the paired change, with 95 % intervals over questions."""
    records = read_lines(folder / EVALUATIONS)
    ways = {way: [r["accuracy"] for r in records if r["way"] == way] for way in ("sampled", "greedy")}
    attempts = max(ways["sampled"][0], key=int)
    print(f"\nheld-out accuracy, {len(ways['sampled'][0]['1'])} questions, 95 % intervals")
    for name, way, k in (
        ("unassisted, sampled", "sampled", "1"),
        ("unassisted, greedy", "greedy", "1"),
        (f"guided, {attempts} attempts", "sampled", attempts),
    ):
        old, new = np.array(ways[way][0][k]), np.array(ways[way][-1][k])
        shown = [
            f"{v.mean():.3f} [{low:.3f}, {high:.3f}]"
            for v in (old, new)
            for low, high in [bootstrap_interval(v)]
        ]
        low, high = bootstrap_interval(new - old)
        print(f"{name:<20} {shown[0]}  ->  {shown[1]}   change {100 * (new - old).mean():+.1f} "
              f"[{100 * low:+.1f}, {100 * high:+.1f}] points")  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
