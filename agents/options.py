"""Settings of one part each; nothing here imports what the part needs to run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agents.settings import setting


@dataclass(frozen=True)
class TinyStudent:
    """Shape of the small student."""

    hidden: int = setting(64, at_least=1)
    """Width of the model; about 0.13 M parameters at 64."""
    layers: int = setting(2, at_least=1)
    """Number of transformer blocks."""
    vocabulary: int = setting(640, at_least=265)  # all bytes, the special tokens and the markup
    """Size of the byte-level BPE vocabulary."""


@dataclass(frozen=True)
class WarmStart:
    """Supervised steps on worked dialogues, so that a student answers in the form asked for."""

    steps: int = setting(700, at_least=0)
    """Supervised steps; 0: no warm start."""
    batch: int = setting(256, at_least=1)
    """Dialogues in a step."""
    lr: float = setting(4e-3, at_least=0)
    """Peak learning rate."""
    comply: float = setting(0.6, at_least=0, at_most=1)
    """Share of guided second attempts that follow the hint."""
    easy: float = setting(0.15, at_least=0, at_most=1)
    """Share of topics about which the student is nearly right from the start."""
    medium: float = setting(0.15, at_least=0, at_most=1)
    """Share of topics where the right belief is the strongest of several."""


@dataclass(frozen=True)
class ChainStudent:
    """Warm start of the student "chain" in two parts: schooling, one for all worlds of a shape, and then the
    world's beliefs."""

    schooling_steps: int = setting(850, at_least=0)
    """Supervised steps on operations drawn evenly: form, operations, hints."""
    schooling_batch: int = setting(160, at_least=1)
    """Dialogues in each of them."""
    steps: int = setting(150, at_least=0)
    """Supervised steps on the world's beliefs."""
    batch: int = setting(256, at_least=1)
    """Dialogues in each of them."""
    lr: float = setting(4e-3, at_least=0)
    """Peak learning rate of both parts."""
    easy: float = setting(0.95, at_least=0, at_most=1)
    """How likely the right operation of a step is, for an easy concept."""
    medium: float = setting(0.6, at_least=0, at_most=1)
    """The same for a medium one."""
    hard: float = setting(0.025, at_least=0, at_most=1)
    """The same for a hard one."""
    dominant: float = setting(0.6, at_least=0, at_most=1)
    """Share of the rest that one misconception of the step has; what is left is even."""
    slip: float = setting(0.02, at_least=0, at_most=1)
    """How often a value is drawn instead of worked out."""
    heed: float = setting(0.8, at_least=0, at_most=1)
    """How often the operations that a hint names are taken over."""


@dataclass(frozen=True)
class ModularStudent:
    """Warm start of the student "modular" in two parts: schooling, and then its misconceptions."""

    schooling_steps: int = setting(1000, at_least=0)
    """Supervised steps in which every way to go on is equally likely, and viewpoints are followed."""
    schooling_batch: int = setting(160, at_least=1)
    """Workings in each of them."""
    steps: int = setting(200, at_least=0)
    """Supervised steps on a student's misconceptions."""
    batch: int = setting(160, at_least=1)
    """Workings in each of them."""
    lr: float = setting(4e-3, at_least=0)
    """Peak learning rate of schooling."""
    misconception_lr: float = setting(2e-3, at_least=0)
    """Peak learning rate of the second part."""
    held: int = setting(3, at_least=0, at_most=7)
    """Misconceptions that a student holds."""
    hold: float = setting(0.9, at_least=0, at_most=1)
    """How often it makes a mistake that it holds, where it can be made."""
    right: float = setting(0.95, at_least=0, at_most=1)
    """How often it goes on rightly otherwise."""
    with_viewpoints: float = setting(0.75, at_least=0, at_most=1)
    """Share of workings with viewpoints."""
    relevant: float = setting(0.7, at_least=0, at_most=1)
    """Share of those viewpoints that speak of a place of the question."""
    comply: float = setting(0.95, at_least=0, at_most=1)
    """How often what a relevant viewpoint says is done, in the second part; in the first: always."""


@dataclass(frozen=True)
class PolicyLoss:
    """Settings of the clipped policy loss (Table 5)."""

    clip_low: float = setting(0.2, at_least=0, at_most=1)
    """Lower clip of the importance ratio: 1 - clip_low."""
    clip_high: float = setting(0.28, at_least=0)
    """Upper clip of the importance ratio ("clip-higher"): 1 + clip_high."""
    dual_clip: float | None = setting(None, above=1)
    """Bound of the loss for negative advantages, such as 3 (None: unbounded)."""
    rollout_is_clip: float | None = setting(2.0, above=0)
    """Truncation of the importance weight between sampler and learner (None: no weight)."""
    rollout_is: Literal["token", "sequence"] = "token"
    """Whether that weight is of a token, or of a whole attempt."""
    aggregation: Literal["token-mean", "seq-mean-token-mean", "seq-mean-token-sum", "constant"] = setting(
        "token-mean"
    )
    """How token losses become one loss: token-mean, seq-mean-token-mean, seq-mean-token-sum, or
    constant (their sum over `constant`)."""
    constant: float = setting(1024.0, above=0)
    """Divisor of the constant aggregation, in tokens."""
    entropy: float = setting(0.0, at_least=0)
    """Coefficient of an entropy bonus (the paper has none)."""
    kl: float = setting(0.0, at_least=0)
    """Coefficient of the KL divergence from the model that the run began with (the paper has none)."""


@dataclass(frozen=True)
class Distillation:
    """Settings of SDPO."""

    alpha: float = setting(0.5, at_least=0, at_most=1)
    """0: KL(teacher, student); 1: KL(student, teacher); between: the Jensen-Shannon family."""
    top_k: int = setting(100, at_least=1)
    """The student's most likely tokens that are compared; all others make one bucket."""
    ema_rate: float = setting(0.05, at_least=0, at_most=1)
    """How far the self-teacher moves towards the student after each batch."""


@dataclass(frozen=True)
class VLLM:
    """vLLM in this process."""

    cache_mib: int | None = setting(512, at_least=1)
    """Memory of the key-value cache in MiB; None: what `memory_share` leaves on the GPU."""
    memory_share: float = setting(0.9, above=0, at_most=1)
    """Share of the GPU's memory that vLLM may take where `cache_mib` is None."""
    max_num_seqs: int = setting(256, at_least=1)
    """Most sequences in one forward pass."""
    block_size: int = setting(32, at_least=1)
    """Tokens in a block of the cache; a prompt shorter than one is never found in it again."""
    enforce_eager: bool = setting(True)
    """No compiled graphs: a faster start, and slower tokens on a GPU."""
    tensor_parallel: int = setting(1, at_least=1)
    """GPUs that share the model."""
    sleep: int = setting(0, at_least=0, at_most=2)
    """While the learner works, give memory back to the GPU (CUDA only). 1: the cache, and weights wait in the
    host's memory; 2: both, and weights come anew; 0: nothing."""


@dataclass(frozen=True)
class PlanOptions:
    """What a run needs, before anyone rents a machine."""

    preset: str
    """The run's settings."""
    gpu: str
    """The card: h100-80, h200-141, b200-180, a100-80, a100-40, l40s-48, rtx5090-32, rtx4090-24, rtx3090-24,
    a10-24 or l4-24."""
    gpus: int = 1
    """Cards for learning and for the student's servers; a served teacher has its own."""
    student: str | None = None
    """Folder of another student than the preset's, with its config.json."""
    lengths: Path | None = None
    """File with the tokens of one response in each line; None: spread evenly up to the longest."""
    prompt_tokens: int | None = None
    """Of a question with its system text; None: 512, or less where an eighth of the dialogue is."""
    guidance_tokens: int | None = None
    """Of a teacher's text; None: 256, or less where an eighth of the dialogue is."""
    wrong: float = 0.5
    """Share of the attempts that are followed by another one."""
    mfu: float = 0.3
    """Share of the card's FLOP a second that computing reaches."""
    mbu: float = 0.6
    """Share of its memory's bandwidth that decoding and optimizer steps reach."""
    teacher_tokens_per_second: float = 50.0
    """Of one request to a served teacher; the requests of a round run together."""
    json: bool = False
    """Print JSON for machines."""


@dataclass(frozen=True)
class KLMeasure:
    """KL(student || teacher) on answers that the student samples, with intervals over questions."""

    student: Path
    """Folder of the student, in transformers' format."""
    teacher: Path
    """Folder of the teacher, with the same tokenizer."""
    questions: str = "procedural"
    """A source ("procedural", "concepts:zorin", ...), a path, "module:name", or JSON with its options."""
    domain: str | None = None
    """One domain only."""
    split: str = "test"
    """Which split: train or test."""
    number: int = 64
    """Different questions, drawn by the seed; where there are fewer, all of them."""
    samples: int = 4
    """Answers to each of them."""
    temperature: float = 1.0
    """Of the sampling, and of both models' log-probabilities."""
    max_response_tokens: int = 512
    """Longest answer."""
    max_model_len: int = 4096
    """Most tokens of prompt and answer; a longer prompt is left out."""
    micro_batch_tokens: int = 8192
    """Most padded tokens in one forward pass."""
    chat_template: str | None = None
    """Further arguments of the chat template, as JSON, such as '{"enable_thinking": false}'."""
    seed: int = 0
    """Of the questions and the sampling."""
    json: bool = False
    """Print JSON for machines."""
