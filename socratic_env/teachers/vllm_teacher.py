"""A language-model teacher in this process: vLLM on a local model folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from socratic_env.models.local_model import LocalSampling
from socratic_env.models.vllm_model import VLLMModel
from socratic_env.teachers.model_in_process import ModelTeacher

_WHO = "teacher 'vllm'"


class VLLMTeacher(ModelTeacher):
    """Runs a model by vLLM.

    Args:
        model: the folder.
        max_tokens, temperature: of the guidance (Table 5: 1024 and 0.2).
        engine: further arguments of `vllm.LLM`.
        others: as for `LocalSampling`.
    """

    def __init__(
        self,
        model: str | os.PathLike[str],
        max_tokens: int = 1024,
        temperature: float = 0.2,
        seed: int = 0,
        max_model_len: int | None = None,
        dtype: str = "auto",
        engine: Mapping[str, Any] | None = None,
        chat_template: Mapping[str, Any] | None = None,
    ) -> None:
        sampling = LocalSampling.checked(
            _WHO, max_tokens, temperature, 1.0, seed, max_model_len, dtype, chat_template
        )
        super().__init__(VLLMModel(_WHO, model, sampling, engine))
