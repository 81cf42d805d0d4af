"""Train a student: `python -m agents.train --preset tiny`; `--help` shows every setting."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import torch
import transformers
import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from agents import parallel
from agents.assembly import distance_from, first_student, load_student, make_policy
from agents.checkpoint import latest_checkpoint, load_trainer_state, save_checkpoint
from agents.config import TrainConfig
from agents.evaluate import Evaluator
from agents.learner import Learner
from agents.presets import PRESETS
from agents.report import write_report
from agents.runlog import CHECKPOINTS, EVALUATIONS, RunLog, read_lines
from agents.summary import by_part, changes
from agents.trainer import make_env, train
from socratic_env.chat import Chat
from socratic_env.errors import ConfigurationError, SocraticError, unknown
from socratic_env.evaluation import Evaluation
from socratic_env.runs import CONFIG, REPORT
from socratic_env.teachers import Teacher, from_spec
from socratic_env.teachers.base import run as wait_for

console = Console(stderr=True)


def parse(arguments: list[str]) -> tuple[TrainConfig, Path | None]:
    """(configuration, folder to resume) of a command line: `--preset` or `--resume` gives the
    defaults, further options change them."""
    chosen, rest = _take(arguments, {"--preset", "--resume"})
    preset, resume = chosen.get("--preset", "tiny"), chosen.get("--resume")
    if preset not in PRESETS:
        raise unknown("preset", preset, PRESETS)
    default = replace(PRESETS[preset], preset=preset)
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
    with ExitStack() as opened:
        try:
            config, resume = parse(sys.argv[1:] if arguments is None else arguments)
            if config.run_dir is None:
                raise ConfigurationError("run_dir is None; give a folder")
            device = parallel.start()
            if parallel.rank() > 0:
                follow(config, device)
                return 0
            environments = partial(make_env, config, shared_teacher(config, opened))
            env = environments("train", config.questions_per_step, config.rollouts_per_question)
            opened.callback(env.close)
            place = latest_checkpoint(resume / CHECKPOINTS) if resume is not None else None
            state = load_trainer_state(place) if place is not None else None
            log = RunLog(config.run_dir, config, None if state is None else state["step"])
            opened.callback(log.close)
        except (SocraticError, gymnasium.error.Error, OSError) as error:
            return fail(error, 2)
        try:
            run(config, env, environments, log, place, state, device)
        except (SocraticError, OSError) as error:
            return fail(error, 1)
    parallel.stop()
    return 0


def shared_teacher(config: TrainConfig, opened: ExitStack) -> Teacher | None:
    """One teacher for training and evaluation, since it may hold a model or a file that it writes to;
    None: each environment's own."""
    spec = config.teacher_spec()
    if spec is None:
        return None
    teacher = from_spec(spec)
    opened.callback(lambda: wait_for(teacher.close()))
    return teacher


def follow(config: TrainConfig, device: torch.device) -> None:
    """What the processes of torchrun but the first do: their share of the learning."""
    model, tokenizer = load_student(parallel.shared())
    parallel.follow(Learner(model.to(device), tokenizer.pad_token_id, config))
    parallel.stop()


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
    device: torch.device,
) -> None:
    """The whole job: student, evaluation, training, evaluation, report. `place` and `state` are a
    checkpoint to go on from."""
    started = time.perf_counter()
    transformers.utils.logging.disable_progress_bar()
    checkpoints = log.folder / CHECKPOINTS
    with ExitStack() as opened:
        progress = opened.enter_context(progress_bar())
        base = first_student(config, log.folder, env.questions, progress)
        # Adapters belong to the weights that the run began with.
        folder = base if place is None or config.lora_rank else place
        model, tokenizer = load_student(parallel.shared(folder))
        chat = Chat(tokenizer, config.history_tokens)
        progress.console.print(f"student: {sum(p.numel() for p in model.parameters()):,} parameters")
        learner = parallel.led(Learner(model.to(device), tokenizer.pad_token_id, config))
        first = 0
        if state is not None:
            first = state["step"]
            learner.load_state(state)
        else:
            place = save_checkpoint(checkpoints, 0, model, tokenizer, learner)
        policy = make_policy(config, place or base, learner, tokenizer, progress)
        opened.callback(policy.close)
        distance = distance_from(config, learner, tokenizer)
        evaluator = Evaluator(config, environments, policy, chat, log, distance)
        opened.callback(evaluator.close)
        if not read_lines(log.folder / EVALUATIONS):
            show(progress.console, 0, evaluator(0))
        write_report(log.folder)  # at each evaluation, so that an interrupted run has one too
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
                write_report(log.folder)
    parallel.dismiss()
    summary(log.folder)
    console.print(f"checkpoint: {place}", highlight=False, soft_wrap=True)
    console.print(f"report: {(log.folder / REPORT).resolve()}", highlight=False, soft_wrap=True)
    console.print(f"{time.perf_counter() - started:.0f} s in all", highlight=False)


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
    most = sampled.max_attempts
    out.print(
        f"step {step:4d}  held-out  unassisted {sampled.accuracy():.3f} (greedy {greedy.accuracy():.3f})  "
        f"guided {sampled.accuracy(most):.3f}  correction rate {sampled.correction_rate():.3f}",
        highlight=False,
        soft_wrap=True,
    )


def summary(folder: Path) -> None:
    """Accuracy by sub-task; then accuracy before and after, and the paired change, with 95 % intervals
    over questions."""
    records = read_lines(folder / EVALUATIONS)
    headings, parts = by_part(records)
    widths = [max(map(len, column)) for column in zip(headings, *parts, strict=True)]
    print()
    for cells in (headings, *parts):
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip())
    print(f"\nheld-out accuracy, {len(records[0]['accuracy']['1'])} questions, 95 % intervals")
    for row in changes(records):
        before, after = (f"{e.mean:.3f} [{e.low:.3f}, {e.high:.3f}]" for e in (row.before, row.after))
        mean, low, high = (100 * value for value in (row.change.mean, row.change.low, row.change.high))
        print(f"{row.name:<20} {before}  ->  {after}   change {mean:+.1f} [{low:+.1f}, {high:+.1f}] points")


if __name__ == "__main__":
    sys.exit(main())
