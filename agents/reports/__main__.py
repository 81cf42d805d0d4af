"""`python -m agents.reports RUN`."""

import sys

from agents.reports.report import main

sys.exit(main())
