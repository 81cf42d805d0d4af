"""Text for terminals, whatever their encoding holds: what it lacks is replaced, and nothing is raised."""

from __future__ import annotations

import sys


def forgive_encodings() -> None:
    """Let a command read and write any text: what the streams' encoding lacks becomes "?"."""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def show(text: str) -> None:
    """Print a text, from a library that leaves the program's own streams as they are."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(text.encode(encoding, "replace").decode(encoding), end="\n\n", flush=True)
