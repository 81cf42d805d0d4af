"""The whole job of a training run: student, evaluation, training, evaluation, report."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import torch
import transformers
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from agents.config import TrainConfig
from agents.learning import processes
from agents.learning.learner import Learner
from agents.reports.report import write_report
from agents.reports.summary import by_part, changes
from agents.runs.assembly import chat_of, load_student, make_policy, warm_student
from agents.runs.checkpoint import save_checkpoint
from agents.runs.evaluator import Evaluator
from agents.runs.log import CHECKPOINTS, RunLog
from agents.runs.preflight import Environments
from agents.runs.start import Start, prepare
from agents.trainer import train
from socratic_env.errors import SocraticError
from socratic_env.evaluation.statistics import Evaluation
from socratic_env.records.run_folder import EVALUATIONS, REPORT, read_lines


def work(
    config: TrainConfig, before: TrainConfig | None, environments: Environments | None, console: Console
) -> int:
    """Run a training; 0: fine, 1: ran and failed, 2: it cannot begin.

    before: the configuration of the run that goes on, if one does. environments: of rank 0; None: this
    process follows.
    """
    transformers.utils.logging.disable_progress_bar()
    try:
        device = processes.start()
        start = None if environments is None else prepare(config, before, environments, device, console)
    except (SocraticError, OSError) as error:
        return fail(console, error, 2)
    try:
        if start is None or environments is None:
            follow(config, device)
        else:
            run(config, environments, start, device, console)
    except (SocraticError, OSError) as error:
        return fail(console, error, 1)
    processes.stop()
    return 0


def fail(console: Console, error: Exception, status: int) -> int:
    """Say what is wrong in one line."""
    console.print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
    return status


def follow(config: TrainConfig, device: torch.device) -> None:
    """What the processes of torchrun but the first do: their share of the learning."""
    model, tokenizer = load_student(processes.broadcast(), config.attention)
    processes.follow(Learner(model.to(device), tokenizer.pad_token_id, config))


def run(
    config: TrainConfig, environments: Environments, start: Start, device: torch.device, console: Console
) -> None:
    """The whole job: student, evaluation, training, evaluation, report."""
    started = time.perf_counter()
    assert config.run_dir is not None
    with ExitStack() as opened:
        log = RunLog(config.run_dir, config, start.resume_step)
        opened.callback(log.close)
        checkpoints = log.folder / CHECKPOINTS
        progress = opened.enter_context(progress_bar(console))
        model, tokenizer, distance = start.model, start.tokenizer, start.distance
        if start.warm_set is not None:
            warm_student(config, model, tokenizer, start.warm_set, start.folder, progress)
            model, tokenizer = load_student(start.folder, config.attention)
            model = model.to(device)
            if distance is not None:
                distance = replace(distance, student=model, teacher=distance.teacher.to(device))
        processes.broadcast(start.folder)
        chat = chat_of(config, model, tokenizer)
        progress.console.print(f"student: {sum(p.numel() for p in model.parameters()):,} parameters")
        learner = processes.leading(Learner(model, tokenizer.pad_token_id, config))
        first = start.step
        if start.place is not None:
            place = start.place
            learner.load(place)
        else:
            place = save_checkpoint(checkpoints, 0, model, tokenizer, learner)
        policy = make_policy(config, place, learner, chat, progress)
        opened.callback(policy.close)
        evaluator = Evaluator(config, environments.make, policy, chat, log, distance)
        opened.callback(evaluator.close)
        if first == 0 and 0 not in log.evaluated:
            show(progress.console, 0, evaluator(0))
        write_report(log.folder)  # at each evaluation, so that an interrupted run has one too
        bar = progress.add_task("training", total=config.steps, completed=first, status="")
        for step, metrics in enumerate(
            train(config, environments.train, policy, chat, learner, log, first), first + 1
        ):
            status = (
                f"unassisted {metrics['unassisted']:.2f}  guided {metrics['guided']:.2f}  "
                f"mu {metrics['mu_1']:.2f}  {metrics['seconds']:.1f} s/step"
            )
            progress.update(bar, completed=step, status=status)
            if step % config.eval_every == 0 or step == config.steps:
                show(progress.console, step, evaluator(step))
                place = save_checkpoint(checkpoints, step, model, tokenizer, learner)
                write_report(log.folder)
    processes.release_followers()
    summary(log.folder)
    console.print(f"checkpoint: {place}", highlight=False, soft_wrap=True)
    console.print(f"report: {(log.folder / REPORT).resolve()}", highlight=False, soft_wrap=True)
    console.print(f"{time.perf_counter() - started:.0f} s in all", highlight=False)


def progress_bar(console: Console) -> Progress:
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
