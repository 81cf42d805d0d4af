"""Train a student: `python -m agents.train --preset tiny`; `--help` shows every setting."""

from __future__ import annotations

import importlib.util
import sys
import time
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from agents.checkpoint import save_checkpoint
from agents.config import PRESETS, TrainConfig
from agents.evaluate import Evaluation, bootstrap_interval
from agents.learner import Learner
from agents.policies.base import Policy
from agents.report import write_report
from agents.rollout import Chat
from agents.runlog import CHECKPOINT, RunLog
from agents.students import make_model, make_tokenizer, sample_texts, warm_start
from agents.trainer import Evaluator, make_env, train
from socratic_env.errors import ConfigurationError, SocraticError, unknown
from socratic_env.questions import QuestionSet, load_questions

console = Console(stderr=True)


def parse(arguments: list[str]) -> tuple[str, TrainConfig]:
    """(preset, configuration) of a command line: the preset gives defaults, options change them."""
    preset, rest = "tiny", []
    remaining = iter(arguments)
    for argument in remaining:
        if argument == "--preset":
            preset = next(remaining, "")
        elif argument.startswith("--preset="):
            preset = argument.partition("=")[2]
        else:
            rest.append(argument)
    if preset not in PRESETS:
        raise unknown("preset", preset, PRESETS)
    description = f"{TrainConfig.__doc__}\n\nFirst option: --preset {{{','.join(PRESETS)}}} (default: tiny)."
    return preset, tyro.cli(
        TrainConfig,
        args=rest,
        default=PRESETS[preset],
        prog="python -m agents.train",
        description=description,
    )


def main(arguments: list[str] | None = None) -> int:
    """Run a training; 0: fine, 1: ran and failed, 2: unusable arguments."""
    try:
        preset, config = parse(sys.argv[1:] if arguments is None else arguments)
        stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
        folder = config.run_dir or Path("runs") / f"{preset}-{stamp}"
        environments = partial(make_env, config)
        env = environments("train", config.questions_per_step, config.rollouts_per_question)
        log = RunLog(folder, config)
    except (SocraticError, OSError) as error:
        console.print(f"error: {error}", style="red", markup=False, highlight=False)
        return 2
    try:
        run(config, env, environments, log)
    except SocraticError as error:
        console.print(f"error: {error}", style="red", markup=False, highlight=False)
        return 1
    finally:
        log.close()
        env.close()
    return 0


def run(config: TrainConfig, env: Any, environments: Any, log: RunLog) -> None:
    """The whole job: student, evaluation, training, evaluation, report."""
    started = time.perf_counter()
    transformers.utils.logging.disable_progress_bar()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with progress_bar() as progress:
        model, tokenizer = make_student(config, env.questions, progress)
        checkpoint = save_checkpoint(log.folder / CHECKPOINT, model, tokenizer)
        model.to(device)
        chat = Chat(tokenizer)
        progress.console.print(f"student: {sum(p.numel() for p in model.parameters()):,} parameters")
        policy = make_policy(config, checkpoint, model, tokenizer, progress)
        evaluator = Evaluator(config, environments, policy, chat, log)
        learner = Learner(model, tokenizer.pad_token_id, config)

        before = after = evaluator(0)
        show(progress.console, 0, before)
        bar = progress.add_task("training", total=config.steps, status="")
        for step, metrics in enumerate(train(config, env, policy, chat, learner, log), start=1):
            status = (
                f"unassisted {metrics['unassisted']:.2f}  guided {metrics['guided']:.2f}  "
                f"mu {metrics['mu_1']:.2f}  {metrics['seconds']:.1f} s/step"
            )
            progress.update(bar, completed=step, status=status)
            if step % config.eval_every == 0 or step == config.steps:
                after = evaluator(step)
                show(progress.console, step, after)
                save_checkpoint(checkpoint, model, tokenizer)
    evaluator.close()
    policy.close()
    report = write_report(log.folder)
    summary(before, after, env.room.rules.max_attempts)
    console.print(f"checkpoint: {checkpoint}", highlight=False)
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


def summary(before: dict[str, Evaluation], after: dict[str, Evaluation], attempts: int) -> None:
    """Accuracy before and after, and the paired change, with 95 % intervals over questions."""
    print(f"\nheld-out accuracy, {len(before['sampled'].solved_QSK)} questions, 95 % intervals")
    for name, way, k in (
        ("unassisted, T = 1", "sampled", 1),
        ("unassisted, greedy", "greedy", 1),
        (f"guided, {attempts} attempts", "sampled", attempts),
    ):
        old, new = before[way].per_question(k), after[way].per_question(k)
        shown = [
            f"{v.mean():.3f} [{low:.3f}, {high:.3f}]"
            for v in (old, new)
            for low, high in [bootstrap_interval(v)]
        ]
        low, high = bootstrap_interval(np.asarray(new) - np.asarray(old))
        print(f"{name:<20} {shown[0]}  ->  {shown[1]}   change {100 * (new - old).mean():+.1f} "
              f"[{100 * low:+.1f}, {100 * high:+.1f}] points")  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
