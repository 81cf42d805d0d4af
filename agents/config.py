"""Every setting of a training run, documented beside its default."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import tyro

from agents.advantages import BY_QUESTION, ESTIMATORS, OF_EPISODES, estimator_of
from agents.options import (
    VLLM,
    ChainStudent,
    Distillation,
    ModularStudent,
    PolicyLoss,
    TinyStudent,
    WarmStart,
)
from agents.settings import check_ranges, flat, from_plain, group, setting
from socratic_env.errors import ConfigurationError
from socratic_env.models.chat_template import template_arguments
from socratic_env.plugins import spec_of
from socratic_env.viewpoints import viewpoints_of


@dataclass(frozen=True)
class TrainConfig:
    """SocraticPO training of a student (Algorithm 1)."""

    preset: tyro.conf.Suppress[str] = "tiny"
    """Preset that the settings started from; `--preset` sets it."""
    run_dir: Path | None = setting(None, resumable=True)
    """Folder for everything the run writes, new or empty; by default runs/<preset>-<date>-<time>."""
    env: str = "SocraticSciKnow-v0"
    """Id of the environment."""
    questions: str | None = None
    """Questions: a source ("procedural", "concepts:zorin", "sciknoweval"), a path, "module:name", or JSON
    with a source's options; None: the environment's own (every preset sets some)."""
    domain: str | None = None
    """chemistry, physics, biology or material; None: all."""
    teacher: str | None = None
    """Teacher: "rule", "retry" or a JSON spec such as '{"kind": "openai", "base_url": ..., "model": ...}';
    None: the environment's own."""
    max_teacher_faults: float = setting(0.5, at_least=0, at_most=1, resumable=True)
    """Largest share of the requests of a batch, or of an evaluation, that the teacher may fail: past it the
    run stops with a checkpoint, to go on with --resume; 1: never. Teacher "guarded" stops within a batch."""
    protocol: str | None = None
    """What the teacher sees and is asked: a protocol's name, or the path of its file (.md); None: the
    environment's own."""
    max_attempts: int = setting(2, at_least=1)
    """K, the most attempts of an episode; the algorithms without a teacher always make one."""
    verifier: str | None = None
    """A verifier's name, or module:name; None: that of the question's kind."""
    viewpoints: str | None = None
    """Knowledge in the student's system text, in training and evaluation: the path of a knowledge base (its
    active viewpoints as they stand when the run starts or resumes), or a JSON list of viewpoints."""
    reward: str | None = None
    """decay, full or constant:g; None: the environment's own."""
    algorithm: Literal[
        "socratic", "reinforce++", "reinforce++-baseline", "grpo", "grpo-no-std", "sdpo"
    ] = "socratic"  # fmt: skip
    """socratic: teacher in the rollout, REINFORCE++ on the decayed rewards; the others without a teacher
    (K = 1, so that teacher, protocol and reward do nothing): their estimator, or (sdpo)
    self-distillation from a sibling's correct solution."""
    credit: Literal["attempt", "trajectory"] = "attempt"
    """What an attempt is credited with: its own reward (eq 15), or the return of its episode (eq 14);
    for algorithm socratic, and estimators that do not go by the returns of episodes anyway."""
    estimator: str | None = None
    """Advantage estimator by its name in agents/advantages.py, or module:function; None: the algorithm's own
    (sdpo has none)."""
    student: str = "tiny"
    """"tiny": made and warm-started here; "chain", "modular": the same for the questions of that name;
    "smollm2": SmolLM2-135M-Instruct from its Python package, with a warm start; else a local folder in
    transformers' format."""
    warm_questions: str | None = None
    """Questions of the warm start; None: the training questions, or "procedural" if those have no
    worked solutions."""
    tiny: TinyStudent = group(TinyStudent)
    """The small student."""
    chain: ChainStudent = group(ChainStudent)
    """The warm start of the student "chain"."""
    modular: ModularStudent = group(ModularStudent)
    """The warm start of the student "modular"."""
    warm: WarmStart = group(WarmStart)
    """The warm start of the students "tiny" and "smollm2"; a folder's model starts as it is."""
    policy: Literal["auto", "vllm", "transformers", "server"] = setting("auto", resumable=True)
    """Sampler of rollouts; auto: vLLM where it is installed; server: vLLM's servers, see `servers`."""
    servers: tuple[str, ...] = setting((), resumable=True)
    """Addresses of vLLM servers of the student, such as http://127.0.0.1:8001, for policy "server"."""
    sync: Literal["folder", "nccl"] = setting("folder", resumable=True)
    """How weights reach the servers: in a file, or from GPU to GPU. Servers need
    --weight-transfer-config '{"backend": "folder"}' (or "nccl")."""
    sync_folder: Path | None = setting(None, resumable=True)
    """Folder of that file, which the servers must see under the same path (/dev/shm/... is fast);
    None: the run's."""
    vllm: VLLM = group(VLLM, resumable=True)
    """vLLM in this process (policy "vllm")."""
    staleness: int = setting(0, at_least=0, at_most=1)
    """1: play each batch during the update before it, from weights one update old, corrected by the
    importance weight `loss.rollout_is_clip`; 0: after it."""
    steps: int = setting(100, at_least=0, resumable=True)
    """Rollout batches, each followed by one pass of optimizer steps."""
    questions_per_step: int = setting(32, at_least=1)
    """Questions of a batch."""
    rollouts_per_question: int = setting(8, at_least=1)
    """Episodes of each question."""
    questions_per_minibatch: int = setting(8, at_least=1)
    """Questions whose episodes make one optimizer step."""
    micro_batch_tokens: int = setting(8192, at_least=1, resumable=True)
    """Most tokens in one forward pass of the learner, padding included."""
    packing: bool = setting(False, resumable=True)
    """Rows one after the other instead of padded side by side: no padding, and fast where the attention
    knows packed rows; on the CPU rows of like length side by side are faster."""
    attention: Literal[
        "sdpa", "rows", "eager", "flex_attention", "flash_attention_2", "flash_attention_3"
    ] = setting("sdpa", resumable=True)  # fmt: skip
    """How the learner's model attends, as transformers names it. For packed rows, "sdpa" and "eager" compute
    all pairs of tokens and mask those of other rows; "rows" attends in each row by itself, with torch alone;
    the others, on a GPU, leave other rows out too."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of the learner's passes, and of vLLM in this process. The learner's weights and optimizer stay in
    float32, the transformers sampler too (also under LoRA and torchrun, where it is a second model);
    servers have the type that they were started with."""
    gradient_checkpointing: bool = setting(False, resumable=True)
    """Compute activations again in the backward pass instead of keeping them."""
    lora_rank: int = setting(0, at_least=0)
    """Train low-rank adapters of this rank on all linear layers; 0: all weights."""
    lora_alpha: int = setting(32, at_least=1)
    """Scale of the adapters, over their rank."""
    temperature: float = setting(1.0, above=0)
    """Of the student's rollouts, above 0."""
    max_response_tokens: int = setting(64, at_least=1)
    """Longest response."""
    max_model_len: int = 512
    """Most tokens of prompt and response; a dialogue that would grow past it ends."""
    chat_template: str | None = None
    """Further arguments of the student's chat template, as JSON, such as '{"enable_thinking": false}'."""
    history_tokens: int | None = setting(None, at_least=2)
    """Most tokens of a wrong answer that the next prompt repeats, half from its beginning and half from
    its end; None: all that leave room for the next response."""
    loss_function: Annotated[str | None, tyro.conf.arg(name="loss")] = None
    """Loss by its name in agents/learning/objectives.py, or module:function; None: the algorithm's own."""
    internalise: float = setting(0.0, at_least=0)
    """Coefficient c of a term beyond the paper: -(c / Z) r log pi(y | question alone) for every corrected
    attempt y with its decayed reward r, Z the mini-batch's response tokens; 0: none, 1: what worked best."""
    mask_cut: bool = False
    """Leave responses that were cut at their longest length out of the loss."""
    drop_uniform_groups: bool = False
    """Leave out questions whose attempts all earned the same; for estimators that work by question."""
    resample_batches: int = setting(0, at_least=0)
    """With `drop_uniform_groups`: most further batches of a step, on other questions, until as many questions
    as a batch has can be learnt from (DAPO)."""
    overlong_buffer: int = setting(0, at_least=0)
    """Last tokens before `max_response_tokens` over which the penalty on long responses grows; 0: none."""
    overlong_penalty: float = setting(1.0, at_least=0)
    """What a response of the longest length loses of its reward where there is an `overlong_buffer`."""
    curriculum: bool = False
    """Draw training questions by past success: most often those that are solved at the first attempt about
    half the time, or were never asked; else the set is gone through in a new order each epoch."""
    loss: PolicyLoss = group(PolicyLoss)
    """The policy loss."""
    distillation: Distillation = group(Distillation)
    """The loss of sdpo, in place of the policy loss."""
    optimizer: Literal["adamw", "adamw-8bit"] = "adamw"
    """adamw-8bit: the same with states of 8 bits (torchao), a quarter of the memory."""
    lr: float = setting(1e-4, at_least=0)
    """Learning rate of AdamW."""
    warmup: int = setting(10, at_least=0)
    """Length of the linear learning-rate warm-up, in units of `warmup_by`."""
    warmup_by: Literal["step", "batch"] = "step"
    """step: an optimizer step, of which a batch makes one for each mini-batch; batch: a rollout batch that
    made any (as verl counts)."""
    weight_decay: float = setting(0.01, at_least=0)
    """Of AdamW."""
    grad_clip: float = setting(1.0, above=0)
    """Largest norm of the gradient, above 0."""
    save_every: int = setting(10, at_least=1, resumable=True)
    """Steps between checkpoints (one before and one after are always made)."""
    keep_last: int = setting(1, at_least=1, resumable=True)
    """How many of the last checkpoints stay; a run goes on from the last one."""
    keep_best: bool = setting(False, resumable=True)
    """Also save and keep the step of the evaluation with the best unassisted accuracy so far."""
    save_in_background: bool = setting(False, resumable=True)
    """Write checkpoints while training goes on, from a copy of them in the host's memory."""
    eval_every: int = setting(10, at_least=1, resumable=True)
    """Steps between evaluations (one before and one after are always made)."""
    early_stopping: int = setting(0, at_least=0, resumable=True)
    """End the run after so many evaluations in a row without a better unassisted accuracy; 0: never."""
    eval_questions: int = setting(256, at_least=1)
    """Held-out questions of an evaluation, all different; where there are fewer, all of them."""
    eval_samples: int = setting(4, at_least=1)
    """Samples of each of them (greedy needs one)."""
    eval_temperature: float | None = setting(None, at_least=0)
    """Of these samples; None: the training temperature."""
    eval_top_p: float = setting(1.0, above=0, at_most=1)
    """Of these samples: they are drawn from the most likely tokens that have this share together."""
    eval_seed: int = setting(0, at_least=0, at_most=2**32 - 1)
    """Of the held-out questions and of the sampling in evaluations, so that runs with different `seed` are
    measured on the same questions (those of `socratic eval --seed`)."""
    keep_tokens: bool = setting(False, resumable=True)
    """Write the tokens of every attempt with their log-probabilities into episodes.jsonl, for `socratic view`
    to colour them; the file grows to one and a half times its size and more."""
    kl_reference: str | None = setting(None, resumable=True)
    """Folder of a model with the student's tokenizer, such as the teacher: each evaluation then measures
    the student's KL divergence from it (Figure 6), on at most 256 responses sampled as in training."""
    seed: int = setting(0, at_least=0, at_most=2**32 - 1)
    """Of the student, the training questions and their sampling."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.questions_per_step % self.questions_per_minibatch:
            raise ConfigurationError(
                f"questions_per_step={self.questions_per_step} is no multiple of "
                f"questions_per_minibatch={self.questions_per_minibatch}"
            )
        if self.max_model_len <= self.max_response_tokens:
            raise ConfigurationError(
                f"max_model_len={self.max_model_len} leaves no room for a prompt beside "
                f"max_response_tokens={self.max_response_tokens}"
            )
        if self.overlong_buffer > self.max_response_tokens:
            raise ConfigurationError(
                f"overlong_buffer={self.overlong_buffer} is more than max_response_tokens="
                f"{self.max_response_tokens}, before which it lies"
            )
        self._check_servers()
        self.template_arguments()
        if self.estimator is not None:
            estimator_of(self.estimator)
        self._check_effect()

    def _check_effect(self) -> None:
        """Refuse what would do nothing."""
        alone = self.algorithm != "socratic"
        for name, idle, why in (
            (
                "max_attempts",
                alone and self.max_attempts not in (1, TrainConfig.max_attempts),
                f"algorithm {self.algorithm!r} makes one attempt",
            ),
            (
                "estimator",
                self.algorithm == "sdpo" and self.estimator is not None,
                "algorithm 'sdpo' has no advantages",
            ),
            (
                "drop_uniform_groups",
                self.drop_uniform_groups and self.estimator_name in {*ESTIMATORS} - BY_QUESTION,
                f"estimator {self.estimator_name!r} does not compare the attempts on a question",
            ),
            (
                "staleness",
                bool(self.staleness) and self.loss.rollout_is_clip is None,
                "loss.rollout_is_clip is None, and nothing would correct for it",
            ),
            (
                "staleness",
                bool(self.staleness and self.vllm.sleep),
                "a sampler that sleeps during the update (vllm.sleep) plays nothing then",
            ),
            (
                "resample_batches",
                bool(self.resample_batches) and not self.drop_uniform_groups,
                "drop_uniform_groups is not set",
            ),
            (
                "internalise",
                bool(self.internalise) and (alone or self.max_attempts == 1),
                "no attempt is a corrected one",
            ),
            (
                "credit",
                alone and self.credit == "trajectory",
                f"an episode of algorithm {self.algorithm!r} is one attempt",
            ),
            (
                "credit",
                self.credit == "trajectory" and self.estimator_name in OF_EPISODES,
                f"estimator {self.estimator_name!r} always goes by the returns of episodes",
            ),
        ):
            if idle:
                raise ConfigurationError(
                    f"{name} is {getattr(self, name)!r} and would have no effect, since {why}; leave it out"
                )

    def _check_servers(self) -> None:
        if (self.policy == "server") != bool(self.servers):
            raise ConfigurationError(
                f"policy is {self.policy!r} and servers are {list(self.servers)}; use --policy server "
                "together with --servers http://HOST:PORT ..."
            )
        for url in self.servers:
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
                raise ConfigurationError(
                    f"server {url!r} is not of the form http://HOST:PORT, without a path"
                )
        if len(set(self.servers)) < len(self.servers):
            raise ConfigurationError(f"servers {list(self.servers)} name one server twice")

    @property
    def loss_name(self) -> str:
        """The loss of this run."""
        return self.loss_function or ("sdpo" if self.algorithm == "sdpo" else "policy")

    @property
    def estimator_name(self) -> str:
        """The estimator of this run."""
        own = "reinforce++" if self.algorithm == "socratic" else self.algorithm
        return self.estimator or own

    def env_kwargs(self) -> dict[str, Any]:
        """Arguments of `gym.make_vec` that this run sets, beside the teacher."""
        chosen = {
            "questions": self.questions_spec(),
            "domain": self.domain,
            "protocol": self.protocol,
            "verifier": self.verifier,
            "reward": self.reward,
            "viewpoints": viewpoints_of(self.viewpoints, "viewpoints"),
        }
        attempts = self.max_attempts if self.algorithm == "socratic" else 1
        return {k: v for k, v in chosen.items() if v is not None} | {"max_attempts": attempts}

    def template_arguments(self) -> dict[str, Any]:
        """Further arguments of the student's chat template."""
        return template_arguments("the student", self.chat_template)

    def teacher_spec(self) -> str | Mapping[str, Any] | None:
        """The teacher as the environment takes it."""
        return None if self.teacher is None else spec_of(self.teacher, "teacher")

    def questions_spec(self) -> str | Mapping[str, Any] | None:
        """The questions as the environment takes them."""
        return None if self.questions is None else spec_of(self.questions, "questions")

    def settings(self) -> dict[str, Any]:
        """Every setting by the name of its option, such as {"warm.steps": 700}."""
        return {name: value for name, (value, _) in flat(self).items()}

    def as_json(self) -> str:
        """The configuration as written into the run folder."""
        return json.dumps(asdict(self), indent=2, default=str)

    @classmethod
    def from_json(cls, text: str) -> TrainConfig:
        """The configuration of a run folder. Raises ConfigurationError if it is not one."""
        try:
            values = json.loads(text)
        except ValueError as error:
            raise ConfigurationError(f"the configuration is not one of this program: {error}") from None
        return from_plain(cls, values)
