"""The report of a run: charts, panels, summary, page. `python -m agents.reports RUN` writes it again."""
