"""Schooled weights, kept by content: what many runs begin with is learnt once."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from agents.learning import fit


def schooled(
    model: Any,
    settings: Sequence[Any],
    code: Sequence[ModuleType],
    cache: Path | None,
    school: Callable[[], Any],
) -> None:
    """Take over what was schooled before with the same model, settings and code, or school the model.

    settings: plain data. code: the modules beside `fit` that the schooling depends on. cache: the folder of
    such weights; None: they are not kept.
    """
    if cache is None:
        school()
        return
    content = [json.dumps([*settings, model.config.to_json_string(), torch.__version__]).encode()]
    content += [Path(str(module.__file__)).read_bytes() for module in (fit, *code)]
    place = cache / f"schooling-{hashlib.sha256(b''.join(content)).hexdigest()[:16]}.safetensors"
    if place.is_file():
        model.load_state_dict(load_file(place), strict=False)  # the tied head is stored once
        return
    school()
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_suffix(f".{os.getpid()}.part")
    save_file({name: weight.contiguous() for name, weight in model.named_parameters()}, part)
    os.replace(part, place)
