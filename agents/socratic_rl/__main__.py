"""`python -m agents.socratic_rl`: Socratic-RL training; `--help` shows every setting."""

from __future__ import annotations

import sys

from agents.socratic_rl.program import PROGRAM
from agents.train import main

if __name__ == "__main__":
    sys.exit(main(program=PROGRAM))
