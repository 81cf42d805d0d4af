"""Checkpoints in transformers' format, replaced in one move."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any


def save_checkpoint(folder: Path, model: Any, tokenizer: Any) -> Path:
    """Write model and tokenizer; a reader finds the old checkpoint or the new one, never a part."""
    fresh, old = folder.with_name(f"{folder.name}.new"), folder.with_name(f"{folder.name}.old")
    for leftover in (fresh, old):
        shutil.rmtree(leftover, ignore_errors=True)
    model.save_pretrained(fresh)
    tokenizer.save_pretrained(fresh)
    if folder.exists():
        os.replace(folder, old)
    os.replace(fresh, folder)
    shutil.rmtree(old, ignore_errors=True)
    return folder
