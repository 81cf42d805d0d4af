"""A model in this process, run by vLLM on a local folder, as the student."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from socratic_env.models.local_model import LocalSampling
from socratic_env.models.vllm_model import VLLMModel
from socratic_env.students.local_replies import ModelStudent

_WHO = "student 'vllm'"


class VLLMStudent(ModelStudent):
    """A model in this process: vLLM on a local folder.

    Args:
        model: the folder.
        temperature, top_p, max_tokens, seed: of the replies.
        engine: further arguments of `vllm.LLM`.
        others: as for `LocalSampling`.
    """

    def __init__(
        self,
        model: str | os.PathLike[str],
        temperature: float = 0.7,
        top_p: float = 1.0,
        max_tokens: int = 1024,
        seed: int = 0,
        max_model_len: int | None = None,
        dtype: str = "auto",
        engine: Mapping[str, Any] | None = None,
        chat_template: Mapping[str, Any] | None = None,
    ) -> None:
        sampling = LocalSampling.checked(
            _WHO, max_tokens, temperature, top_p, seed, max_model_len, dtype, chat_template
        )
        super().__init__(VLLMModel(_WHO, model, sampling, engine))
