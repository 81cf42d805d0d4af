"""`python -m agents.plan`."""

from __future__ import annotations

import sys

from agents.plan.command import main

if __name__ == "__main__":
    sys.exit(main())
