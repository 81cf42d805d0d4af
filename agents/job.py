"""The whole job of a training run: student, evaluation, training, evaluation, report."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import transformers
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from agents.config import TrainConfig
from agents.learning import processes
from agents.learning.learner import Learner
from agents.policies.policy import Policy
from agents.reports.report import write_report
from agents.reports.summary import by_part, changes, training_warnings, warnings
from agents.runs.alarms import alarms
from agents.runs.assembly import chat_of, load_student, make_policy, warm_student
from agents.runs.best import best_step, stalled
from agents.runs.checkpoint import Checkpoints, checkpoint_name
from agents.runs.evaluator import Evaluator
from agents.runs.log import CHECKPOINTS, RunLog
from agents.runs.preflight import Environments
from agents.runs.programs import fail
from agents.runs.start import Start, prepare
from agents.trainer import train
from socratic_env.errors import SocraticError, StudentError, TeacherDown
from socratic_env.evaluation.html import shares
from socratic_env.models.chat import Chat
from socratic_env.records.run_folder import EVALUATIONS, METRICS, REPORT, read_lines

Steps = Callable[[TrainConfig, Environments, Policy, Chat, Learner, RunLog, int], Generator[dict[str, float]]]
"""(config, environments, policy, chat, learner, log, first) -> the metrics of each step from the first on."""


def socratic_po(
    config: TrainConfig,
    environments: Environments,
    policy: Policy,
    chat: Chat,
    learner: Learner,
    log: RunLog,
    first: int,
) -> Generator[dict[str, float]]:
    """The steps of `agents.train`."""
    past = log.first_attempts() if config.curriculum else ()
    return train(config, environments.train, policy, chat, learner, log, first, past)


def work(
    config: TrainConfig,
    before: TrainConfig | None,
    environments: Environments | None,
    console: Console,
    steps: Steps = socratic_po,
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
            run(config, environments, start, device, console, steps)
    except (SocraticError, OSError) as error:
        return fail(console, error, 1)
    processes.stop()
    return 0


def release() -> None:
    """Give back what a run held of the card, so that another one in this process finds room."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def follow(config: TrainConfig, device: torch.device) -> None:
    """What the processes of torchrun but the first do: their share of the learning."""
    model, tokenizer = load_student(processes.broadcast(), config.attention)
    processes.follow(Learner(model.to(device), tokenizer.pad_token_id, config))


def run(
    config: TrainConfig,
    environments: Environments,
    start: Start,
    device: torch.device,
    console: Console,
    steps: Steps,
) -> None:
    """The whole job: student, evaluation, training, evaluation, report."""
    started = time.perf_counter()
    assert config.run_dir is not None
    with ExitStack() as opened:
        log = RunLog(config.run_dir, config, start.resume_step)
        opened.callback(log.close)
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
        first = done = start.step
        checkpoints = Checkpoints(log.folder / CHECKPOINTS, model, tokenizer, learner, start.place)
        opened.callback(checkpoints.close)
        if checkpoints.place is None:
            checkpoints.save(0)
            checkpoints.wait()  # a sampler begins with it
        else:
            learner.load(checkpoints.place)
        assert checkpoints.place is not None
        policy = make_policy(config, checkpoints.place, learner, chat, progress)
        opened.callback(policy.close)
        evaluator = Evaluator(config, environments.make, policy, chat, log, distance)
        opened.callback(evaluator.close)
        try:
            if due(config.eval_every, first, config) and first not in log.evaluated:
                show(progress.console, first, evaluator(first))
            write_report(log.folder)  # at each evaluation, so that an interrupted run has one too
            bar = progress.add_task("training", total=config.steps, completed=first, status="")
            taken = [m for m in read_lines(log.folder / METRICS) if m["kind"] == "train"]
            rung = alarms(taken).keys()
            with closing(steps(config, environments, policy, chat, learner, log, first)) as going:
                for metrics in () if stops_early(config, log.folder) else going:
                    done += 1
                    status = (
                        f"unassisted {metrics['unassisted']:.2f}  guided {metrics['guided']:.2f}  "
                        f"mu {metrics['mu_1']:.2f}  {metrics['seconds']:.1f} s/step"
                    )
                    progress.update(bar, completed=done, status=status)
                    taken.append(metrics)
                    ringing = alarms(taken)
                    for name in ringing.keys() - rung:
                        warn(progress.console, f"step {done}: {name}: {ringing[name]}")
                    rung = ringing.keys()
                    evaluated = due(config.eval_every, done, config)
                    if evaluated:
                        show(progress.console, done, evaluator(done))
                    ends = evaluated and stops_early(config, log.folder)
                    best = best_of(config, log.folder)
                    if due(config.save_every, done, config) or ends or (evaluated and best == done):
                        checkpoints.save(done, best)
                    if evaluated:
                        write_report(log.folder)
                    if ends:
                        break
        except (TeacherDown, StudentError) as error:
            if checkpoints.place.name != checkpoint_name(done):
                checkpoints.save(done, best_of(config, log.folder))
            checkpoints.wait()
            write_report(log.folder)
            held = f"which {checkpoints.place} holds"
            kind = TeacherDown if isinstance(error, TeacherDown) else StudentError
            if kind is StudentError:
                held += " (go on with --resume)"
            raise kind(f"stopped after step {done}, {held}: {error}") from error
        checkpoints.wait()
    processes.release_followers()
    summary(log.folder)
    if done < config.steps:
        console.print(
            f"ended early: no better unassisted accuracy in the last {config.early_stopping} evaluations",
            highlight=False,
            soft_wrap=True,
        )
    console.print(f"checkpoint: {checkpoints.place}", highlight=False, soft_wrap=True)
    console.print(f"report: {(log.folder / REPORT).resolve()}", highlight=False, soft_wrap=True)
    console.print(f"{time.perf_counter() - started:.0f} s in all", highlight=False)


def due(every: int, step: int, config: TrainConfig) -> bool:
    """Whether something is done after a step that is done every so many steps, and after the last one."""
    return step % every == 0 or step == config.steps


def best_of(config: TrainConfig, folder: Path) -> int | None:
    """The step whose checkpoint a run keeps as its best one, if it does."""
    return best_step(read_lines(folder / METRICS)) if config.keep_best else None


def stops_early(config: TrainConfig, folder: Path) -> bool:
    """Whether a run ends here, since its evaluations stopped getting better."""
    return 0 < config.early_stopping <= stalled(read_lines(folder / METRICS))


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


def show(out: Console, step: int, results: Mapping[str, Mapping[str, Any]]) -> None:
    """One line for an evaluation, and its warnings."""
    sampled, greedy = results["sampled"]["all"], results["greedy"]["all"]
    most = max(sampled["guided"], key=int)
    corrected = sampled["correction_rate"].get("2")
    rate = "" if corrected is None else f"  correction rate {bare(corrected)}"
    out.print(
        f"step {step:4d}  held-out  unassisted {bare(sampled['unassisted'])} (greedy "
        f"{bare(greedy['unassisted'])})  guided {bare(sampled['guided'][most])}{rate}",
        highlight=False,
        soft_wrap=True,
    )
    for way, found in results.items():
        for line in found["warnings"]:
            warn(out, f"{way}: {line}")


def bare(metric: Mapping[str, Any]) -> str:
    """A metric without its interval."""
    return shares({**metric, "interval": None})


def warn(out: Console, line: str) -> None:
    """Say something that must not be overlooked."""
    out.print(f"WARNING: {line}", style="bold red", markup=False, highlight=False, soft_wrap=True)


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
        before, after = (
            shares({"value": e.mean, "interval": (e.low, e.high), "upper": e.upper, "open": e.upper > e.mean})
            for e in (row.before, row.after)
        )
        mean, low, high = (100 * value for value in (row.change.mean, row.change.low, row.change.high))
        print(f"{row.name:<20} {before}  ->  {after}   change {mean:+.1f} [{low:+.1f}, {high:+.1f}] points")
    train = [record for record in read_lines(folder / METRICS) if record["kind"] == "train"]
    for line in (*warnings(records), *training_warnings(train)):
        print(f"WARNING: {line}")
