"""Evaluation during training: the policy on the same held-out questions each time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from agents.config import TrainConfig
from agents.learning.divergence import TeacherDistance
from agents.learning.samples import RolloutBatch, Sampling
from agents.metrics import teacher_metrics
from agents.policies.policy import Policy
from agents.rollout import check_prompts_fit, check_teacher, rollout
from agents.runs.log import RunLog
from socratic_env.envs.vector import SocraticVectorEnv
from socratic_env.evaluation.results import result_of
from socratic_env.evaluation.runner import evaluation_questions
from socratic_env.evaluation.statistics import Evaluation, faults_of
from socratic_env.evaluation.warnings import warnings_of
from socratic_env.models.chat import Chat
from socratic_env.types import Usage


def batch_evaluation(env: SocraticVectorEnv, batch: RolloutBatch) -> Evaluation:
    """How the episodes of a batch went, by question."""
    return Evaluation.of_episodes(
        batch.episodes, env.rollouts_per_question, env.interaction.rules.max_attempts
    )


class Evaluator:
    """Evaluates the policy sampled and greedy, with the statistics of `socratic_env.evaluation.statistics`.

    The questions are `config.eval_questions` different ones, the same each time; all of them where there
    are fewer. They, and the sampling, go by `config.eval_seed` alone.

    Args:
        make_env: (split, questions, samples of each) -> their environment.
        distance: of the student from a reference model, if wanted. It is measured on responses sampled
            as in training; they are drawn on their own where the evaluation samples in another way.
    """

    def __init__(
        self,
        config: TrainConfig,
        make_env: Callable[[str, int, int], SocraticVectorEnv],
        policy: Policy,
        chat: Chat,
        log: RunLog,
        distance: TeacherDistance | None = None,
    ) -> None:
        self._policy, self._chat, self._log, self._seed = policy, chat, log, config.eval_seed
        self._most_faults = config.max_teacher_faults
        self._distance = distance
        one_each = make_env("test", config.eval_questions, 1)
        self._known, self._asked = evaluation_questions(one_each.questions, config.eval_questions, self._seed)
        if len(self._asked) < config.eval_questions:
            one_each.close()
            one_each = make_env("test", len(self._asked), 1)
        temperature = config.temperature if config.eval_temperature is None else config.eval_temperature
        longest = config.max_response_tokens
        self._as_in_training = Sampling(config.temperature, max_tokens=longest)
        self._ways = {
            "sampled": (
                make_env("test", len(self._asked), config.eval_samples),
                Sampling(temperature, config.eval_top_p, longest),
            ),
            "greedy": (one_each, Sampling(0.0, max_tokens=longest)),
        }

    def __call__(self, step: int) -> dict[str, dict[str, Any]]:
        """Evaluate and log; what was found, by way of sampling: `result_of`, with "open" (how many episodes
        are, and why) and "warnings"."""
        start, usage = time.perf_counter(), self._usage()
        results: dict[str, dict[str, Any]] = {}
        metrics: dict[str, float] = {}
        batches: dict[str, RolloutBatch] = {}
        for way, (env, sampling) in self._ways.items():
            batch = batches[way] = self._play(env, sampling)
            check_prompts_fit(batch, sampling, self._policy.max_model_len)
            check_teacher(batch, self._most_faults)
            result, why = batch_evaluation(env, batch), faults_of(batch.episodes)
            found = result_of(result, self._asked, self._known)
            found |= {
                "open": {"episodes": result.open, "why": dict(why)},
                "warnings": warnings_of(
                    found["all"], why, f"max_response_tokens={self._as_in_training.max_tokens}"
                ),
            }
            results[way] = found
            metrics |= evaluation_metrics(way, found)
            self._log.evaluation(step, way, result, found)
        if self._distance is not None:
            way = "sampled"
            if self._ways[way][1] != self._as_in_training:
                way = "as in training"
                batches[way] = self._play(self._ways["greedy"][0], self._as_in_training)
            metrics |= self._distance(batches[way].samples)
        metrics |= teacher_metrics(usage, self._usage())
        tokens = sum(batch.tokens for batch in batches.values())
        metrics |= {"response_tokens": float(tokens), "seconds": time.perf_counter() - start}
        self._log.metrics("eval", step, metrics)
        return results

    def close(self) -> None:
        """Close the evaluation's environments."""
        for env, _ in self._ways.values():
            env.close()

    def _play(self, env: SocraticVectorEnv, sampling: Sampling) -> RolloutBatch:
        ids = [question.id for question in self._asked]
        return rollout(env, self._policy, self._chat, sampling, self._seed, ids)

    def _usage(self) -> Usage:
        return sum((env.usage["teacher"] for env, _ in self._ways.values()), Usage())


def evaluation_metrics(way: str, found: Mapping[str, Any]) -> dict[str, float]:
    """The metrics of one way of sampling from its `result_of`, each with `_low` and `_high` of its interval,
    and with `_upper` where episodes are open.

    unassisted: avg@n of attempt 1; pass_k: pass@k of attempt 1, k above 1; guided: solved within all
    attempts; within_k: within k, where that is neither 1 nor all; correction_rate: of attempt 2;
    correction_rate_k: of later ones; unassisted_<domain>, guided_<domain>: where there are several;
    replies_cut, replies_empty; open.
    Sub-tasks, which are many, stand in `evaluations.jsonl` only.
    """
    whole, domains = found["all"], found["domains"]
    last = max(whole["guided"], key=int)
    named = {"unassisted": whole["unassisted"], "guided": whole["guided"][last]}
    named |= {f"pass_{k}": metric for k, metric in whole["pass_at"].items() if k != "1"}
    named |= {f"within_{k}": metric for k, metric in whole["guided"].items() if k not in ("1", last)}
    for k, metric in whole["correction_rate"].items():
        named["correction_rate" if k == "2" else f"correction_rate_{k}"] = metric
    for part in domains if len(domains) > 1 else ():
        named[f"unassisted_{part['domain']}"] = part["unassisted"]
        named[f"guided_{part['domain']}"] = part["guided"][last]
    named |= {f"replies_{name}": metric for name, metric in whole["replies"].items()}
    counts = {f"{way}_open": float(whole["open"])}
    return counts | dict(pair for name, metric in named.items() for pair in _numbers(f"{way}_{name}", metric))


def _numbers(name: str, metric: dict[str, Any]) -> list[tuple[str, float]]:
    value = metric["value"]
    low, high = metric["interval"] or (None, None)
    numbers = {name: value, f"{name}_low": low, f"{name}_high": high}
    if metric["open"]:
        numbers[f"{name}_upper"] = metric["upper"]
    return [(key, float("nan") if number is None else number) for key, number in numbers.items()]
