"""A model in this process, run by transformers, as the student."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from socratic_env.models.local_model import LocalSampling
from socratic_env.models.transformers_model import TransformersModel
from socratic_env.students.local_replies import ModelStudent

_WHO = "student 'transformers'"


class TransformersStudent(ModelStudent):
    """A model in this process: transformers on a folder or a model of the hub, for those without vLLM.

    Args:
        model: a folder, or a name on the hub.
        temperature, top_p, max_tokens, seed: of the replies.
        device: "cpu", "cuda", ...; None: a GPU where there is one.
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
        device: str | None = None,
        chat_template: Mapping[str, Any] | None = None,
    ) -> None:
        sampling = LocalSampling.checked(
            _WHO, max_tokens, temperature, top_p, seed, max_model_len, dtype, chat_template
        )
        super().__init__(TransformersModel(_WHO, model, sampling, device))
