"""A teacher model as a reflecting teacher: what `python -m agents.teaching` has taught goes on to teach."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from agents.learning.samples import Sampling
from agents.policies.transformers_policy import TransformersPolicy
from agents.runs.assembly import load_student
from agents.teaching.forms import form_of
from agents.teaching.lessons import Writer
from socratic_env.errors import TeacherReplyError, check_count
from socratic_env.models.chat import Chat, ends_of
from socratic_env.reflection import Reflection, Reflector
from socratic_env.traces import InteractionTrace
from socratic_env.types import Usage


class ModelReflector(Reflector):
    """Writes one viewpoint on each trace that its prompt asks about, by transformers in this process.

    Words that are no viewpoint are a fault.

    Args:
        folder: of the model, in transformers' format (`teacher/` in the run's folder).
        prompt: as the teacher was taught: "words", or a reflection prompt.
        min_seen: on how many traces of a batch a viewpoint must be written to be kept.
        max_traces: most traces of a batch, the first ones.
        max_tokens, max_model_len, temperature, seed: of its sampling.
    """

    def __init__(
        self,
        folder: str,
        prompt: str = "words",
        min_seen: int = 1,
        max_traces: int = 64,
        max_tokens: int = 8,
        max_model_len: int = 96,
        temperature: float = 1.0,
        seed: int = 0,
    ) -> None:
        for name, count in (("min_seen", min_seen), ("max_traces", max_traces), ("max_tokens", max_tokens)):
            check_count(f"reflector ModelReflector: {name}", count)
        self._folder, self._min_seen, self._max_traces, self._seed = folder, min_seen, max_traces, seed
        model, tokenizer = load_student(Path(folder))
        chat = Chat(tokenizer, model_ends=ends_of(model.generation_config, model.config))
        policy = TransformersPolicy(model, chat.ends, chat.pad, max_model_len)
        self._writer = Writer(policy, chat, form_of(prompt), Sampling(temperature, max_tokens=max_tokens))
        self._asked = 0

    def __repr__(self) -> str:
        return f"ModelReflector({self._folder!r})"

    async def consider(self, traces: Sequence[InteractionTrace]) -> Reflection:
        """One viewpoint for each trace that is asked about; those of too few traces are left out."""
        wanted = [trace for trace in traces if self._writer.form.wants(trace)][: self._max_traces]
        if not wanted:
            return Reflection()
        self._asked += 1  # so that the same trace is not answered alike each time
        written = self._writer.write(wanted, 1, self._seed + self._asked)
        read = [one.viewpoint for one in written if one.viewpoint is not None]
        seen = Counter(one.id for one in read)
        faults = tuple(
            TeacherReplyError(f"the teacher of {self._folder} wrote what cannot be used: {one.why}")
            for one in written
            if one.viewpoint is None
        )
        usage = Usage(
            calls=len(written),
            prompt_tokens=sum(len(one.prompt) for one in written),
            completion_tokens=sum(len(one.completion.ids) for one in written),
            failures=len(faults),
        )
        kept = tuple(one for one in read if seen[one.id] >= self._min_seen)
        return Reflection(kept, faults, usage=usage)
