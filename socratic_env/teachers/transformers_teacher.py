"""A language-model teacher in this process: transformers on a folder or a model of the hub."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from socratic_env.models.local_model import LocalSampling
from socratic_env.models.transformers_model import TransformersModel
from socratic_env.teachers.model_in_process import ModelTeacher

_WHO = "teacher 'transformers'"


class TransformersTeacher(ModelTeacher):
    """Runs a model by transformers, for those without vLLM.

    Args:
        model: a folder, or a name on the hub.
        max_tokens, temperature: of the guidance (Table 5: 1024 and 0.2).
        device: "cpu", "cuda", ...; None: a GPU where there is one.
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
        device: str | None = None,
        chat_template: Mapping[str, Any] | None = None,
    ) -> None:
        sampling = LocalSampling.checked(
            _WHO, max_tokens, temperature, 1.0, seed, max_model_len, dtype, chat_template
        )
        super().__init__(TransformersModel(_WHO, model, sampling, device))
