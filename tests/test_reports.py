"""The report of a run: what stands in it, for whole, empty, interrupted, hostile and long runs."""

import json
import re
import threading
import tracemalloc
from html import escape
from itertools import pairwise
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.made_runs import all_metrics, episodes, made_run
from support.scripted import choice_question

from agents.metrics import teacher_metrics, time_metrics
from agents.reports import charts, report
from agents.reports.panels import draw_all
from agents.reports.report import samples, write_report
from agents.reports.summary import by_part, changes, spent, training_warnings, warnings
from agents.runs.metric_table import METRICS, SECTIONS, declared, definition
from socratic_env.cli import main
from socratic_env.errors import ConfigurationError
from socratic_env.evaluation.episodes_page import episodes_from, episodes_page, serve
from socratic_env.records.run_folder import episodes_of, last_step, read_lines
from socratic_env.types import Usage

PANELS = [panel for panels in SECTIONS.values() for panel in panels]


# -- metrics -----------------------------------------------------------------------------


def test_every_metric_is_declared_once_with_its_definition():
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    for metric in METRICS:
        assert definition(metric.name.replace("*", "3")).endswith(".")
        assert ("*" in metric.line) <= ("*" in metric.name)
    assert "number 3" in definition("mu_3")
    with pytest.raises(KeyError, match="nonsense"):
        definition("nonsense")


@pytest.mark.parametrize(("logged", "name", "star"), [
    ("mu_2", "mu_*", "2"),
    ("loss", "loss", ""),
    ("sampled_unassisted", "sampled_unassisted", ""),
    ("sampled_unassisted_physics", "sampled_unassisted_*", "physics"),
    ("sampled_unassisted_low", None, None),
    ("sampled_unassisted_physics_high", None, None),
    ("mu_", None, None),
])  # fmt: skip
def test_a_wildcard_stands_for_what_is_there_but_not_for_bounds(logged, name, star):
    found = declared(logged)
    assert (found and found[0].name, found and found[1]) == (name, star)


def drawn_in(train=(), evaluations=()):
    """Section -> panel -> names in its chart."""
    return {title: {d.panel.title: [name for name, *_ in d.legend] for d in found}
            for title, found in draw_all({"train": train, "eval": evaluations}).items()}  # fmt: skip


def test_what_is_not_declared_is_drawn_under_other(tmp_path):
    train = [{"kind": "train", "step": step, "loss": 1.0, "my_gap": step, "my_gap_low": 0.5,
              "my_gap_high": 3.0, "empty": None, "lonely": 0.0, "lonely_low": 1.0, "kl_k1": 0.1}
             for step in (1, 2)]  # fmt: skip
    evaluations = [{"kind": "eval", "step": 0, "my_score": 0.0, "seconds": 3.0, "teacher_cost": 1.0,
                    "sampled_guided": 0.5, "loss": 2.0}]  # fmt: skip
    assert drawn_in(train, evaluations) == {
        "Accuracy": {"Held-out accuracy": ["guided, sampled"]},
        "Update": {"Loss": ["loss"]},
        "Other": {name: [name] for name in ("my_gap", "lonely", "lonely_low", "kl_k1", "my_score", "loss")},
    }, "also a declared metric of the other kind, but neither bounds nor what the page's facts show"
    folder = made_run(tmp_path / "run", 1)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"kind": "train", "step": 2, **all_metrics("train", 2), "my_gap": 7.0}) + "\n")
    page = write_report(folder).read_text()
    assert "<h2>Other</h2>" in page
    assert "<h3>my_gap</h3>" in page
    assert "agents/runs/metric_table.py" in page
    assert "<h2>Other</h2>" not in write_report(made_run(tmp_path / "usual", 1)).read_text()


def test_panels_of_what_was_not_used_are_left_out():
    quiet = [{"step": 1, "teacher_calls": 0.0, "teacher_cost": 0.0, "skipped": 0.0, "loss": 0.0}]
    assert drawn_in(quiet) == {"Update": {"Loss": ["loss"]}}
    assert drawn_in([{**quiet[0], "skipped": 1.0}])["Update"] == {
        "Loss": ["loss"], "Left out of the update": ["whole steps"],
    }  # fmt: skip


def test_throughput_and_cost_are_of_the_step():
    times = time_metrics({"response_tokens": 300.0, "trained_tokens": 240.0}, 2.0, 3.0, 1.0, 5.0)
    assert times["seconds"] == 5.0
    assert (times["tokens_per_second_sampled"], times["tokens_per_second_trained"]) == (150.0, 80.0)
    assert "tokens_per_second_trained" not in time_metrics({"response_tokens": 300.0}, 2.0, 3.0, 1.0, 5.0)
    cost = teacher_metrics(Usage(1, 0, 10, 5, 1.0, 0.5), Usage(4, 1, 40, 25, 2.5, 2.0))
    assert cost == {"teacher_calls": 3, "teacher_faults": 1, "teacher_tokens": 50,
                    "teacher_seconds": 1.5, "teacher_cost": 1.5}  # fmt: skip


# -- charts ------------------------------------------------------------------------------


@settings(deadline=None)
@example([5e-324], True)
@example([-5e-324, 5e-324], False)
@given(st.lists(st.none() | st.floats(-1e30, 1e30), min_size=1, max_size=300), st.booleans())
def test_a_chart_holds_its_points_in_order(values, from_zero):
    values = [v if v is None or not from_zero else abs(v) for v in values]
    records = [{"step": i + 1, "loss": v} for i, v in enumerate(values)]
    chart = charts.line_chart(records, {"loss": "loss"}, (0.0, None) if from_zero else (None, None))
    present = [v for v in values if v is not None]
    if not present:
        assert chart is None
        return
    (line,) = chart.lines
    points = [tuple(map(float, p.split())) for p in line.path[1:].split("L")]
    assert len(points) == -(-len(present) // chart.together) <= charts.MOST_POINTS
    assert all(a[0] <= b[0] for a, b in pairwise(points))
    for x, y in points:
        assert charts.LEFT <= x <= charts.WIDTH - charts.RIGHT
        assert charts.TOP - 0.1 <= y <= charts.HEIGHT - charts.BOTTOM + 0.1
    if chart.together == 1:
        pixels = [y for _, y in sorted(zip(present, (y for _, y in points), strict=True))]
        assert all(a >= b for a, b in pairwise(pixels)), "a larger value stands higher"
    labels = [label for _, label in chart.y_ticks]
    assert 2 <= len(labels) == len(set(labels)) <= 8
    assert sum(column.width for column in chart.columns) == pytest.approx(
        charts.WIDTH - charts.LEFT - charts.RIGHT, abs=0.01 * len(chart.columns)
    )


def test_neighbours_drawn_together_keep_their_range():
    records = [{"step": i, "loss": 1.0 if i == 500 else 0.0} for i in range(1, 1001)]
    chart = charts.line_chart(records, {"loss": "loss"})
    (line,) = chart.lines
    assert chart.together == 9
    assert f" {float(charts.TOP)}" in line.band, "the peak reaches the top"
    assert "steps 496 to 504\nloss: 0.111 [0, 1]" in [column.text for column in chart.columns]


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (0.012345, "0.0123"), (1, "1"), (123.4, "123"), (1234, "1.23k"), (48_360, "48.4k"),
     (2.5e6, "2.5M"), (-0.5, "-0.5"), (1.83e-7, "1.83e-7"), (3e12, "3000G"), (999.9, "999.9")],
)  # fmt: skip
def test_numbers_are_short(value, shown):
    assert charts.number(value) == shown


# -- episodes of a step ------------------------------------------------------------------


@settings(deadline=None)
@given(st.lists(st.integers(1, 12), max_size=60), st.integers(0, 200), st.booleans())
def test_episodes_of_a_step_are_found_without_reading_all(tmp_path_factory, steps, padding, torn):
    path = tmp_path_factory.mktemp("episodes") / "episodes.jsonl"
    records = [{"step": s, "row": i, "text": "é" * (padding * (i % 7))} for i, s in enumerate(sorted(steps))]
    lines = [json.dumps(record, ensure_ascii=False) + "\n" for record in records]
    path.write_text("".join(lines) + ('{"step": 13, "ro' if torn else ""), encoding="utf-8")
    assert last_step(path) == max(steps, default=None)
    for step in range(14):
        assert list(episodes_of(path, step)) == [r for r in records if r["step"] == step]


def test_the_last_step_is_found_behind_a_long_line(tmp_path):
    path = tmp_path / "episodes.jsonl"
    path.write_text(f'{{"step": 1}}\n{{"step": 2, "text": "{"x" * 300_000}"}}\n{{"step": 3')
    assert last_step(path) == 2


# -- whole pages -------------------------------------------------------------------------


def test_a_run_with_every_metric_shows_every_chart(tmp_path):
    folder = made_run(tmp_path / "run", 3)
    page = write_report(folder).read_text()
    for panel in PANELS:
        assert f"<h3>{panel.title}</h3>" in page
    assert page.count("<svg") == len(PANELS)
    assert "://" not in page
    assert "finished" in page
    assert "letter" in page
    assert "nothing came back" in page
    assert "Look again at line 2." in page


def test_the_summary_adds_up_steps_and_evaluations(tmp_path):
    folder = made_run(tmp_path / "run", 3)
    train = spent([m for m in read_lines(folder / "metrics.jsonl") if m["kind"] == "train"])
    assert (train.seconds, train.teacher_cost, train.response_tokens) == (7.5, 0.75, 145_080)
    rows = changes(read_lines(folder / "evaluations.jsonl"))
    assert [row.name for row in rows] == ["unassisted, sampled", "unassisted, greedy", "guided, 2 attempts"]
    for row in rows:
        assert row.change.mean == pytest.approx(row.after.mean - row.before.mean)
        assert row.before.low <= row.before.mean <= row.before.high
    assert changes([]) == []


def test_a_single_attempt_has_no_guided_accuracy():
    known = {"1": [0.0, 1.0]}
    records = [{"way": way, "accuracy": known, "accuracy_upper": known} for way in ("sampled", "greedy")]
    assert [row.name for row in changes(records)] == ["unassisted, sampled", "unassisted, greedy"]


def test_open_episodes_widen_accuracy_and_its_change():
    """Before: 0.5 of 40 questions. After: the same, and the other half is open."""
    half, ones = [0.0, 1.0] * 20, [1.0] * 40
    records = [
        {"way": way, "accuracy": {"1": half}, "accuracy_upper": {"1": upper}}
        for upper in (half, ones)
        for way in ("sampled", "greedy")
    ]
    row = changes(records)[0]
    assert (row.before.mean, row.before.upper) == (0.5, 0.5)
    assert (row.after.mean, row.after.upper, row.after.high) == (0.5, 1.0, 1.0)
    assert row.after.low < 0.5
    assert (row.change.mean, row.change.upper) == (0.0, 0.5)
    assert row.change.low < 0
    assert row.change.high > 0.5


def test_no_change_at_all_is_not_certain():
    known = {"1": [0.0, 1.0] * 20}
    records = [{"way": "sampled", "accuracy": known, "accuracy_upper": known}] * 2
    (row,) = changes(records)
    assert row.change.low < row.change.mean == 0 < row.change.high


def test_what_cannot_be_trusted_is_said_at_the_top_of_the_report(tmp_path):
    folder = made_run(tmp_path / "run", 2)
    path = folder / "evaluations.jsonl"
    records = read_lines(path)
    records[-2]["warnings"] = ["3 of 64 episodes are open (3 TeacherTimeout): <nobody> knows"]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    said = warnings(records)
    assert said == [f"held-out at step 2, {records[-2]['way']}: {records[-2]['warnings'][0]}"]
    steps = [{"open": 2.0, "attempts": 10.0, "replies_cut": 0.3, "replies_empty": 0.0},
             {"open": 0.0, "attempts": 30.0, "replies_cut": 0.1, "replies_empty": None}]  # fmt: skip
    left, cut = training_warnings(steps)
    assert "left 2 episodes open, in 1 of 2 steps" in left
    assert "15% of the student's replies did not end by themselves" in cut
    page = write_report(folder).read_text()
    assert page.index(escape(said[0])) < page.index("held-out accuracy")


def test_the_parts_are_shown_beside_blind_rules(tmp_path):
    folder = made_run(tmp_path / "run", 3)
    records = read_lines(folder / "evaluations.jsonl")
    headings, rows = by_part(records)
    assert headings == ["", "questions", "unassisted, step 0", "unassisted, step 3", "guided <= 2, step 3",
                        "best blind rule", "chance"]  # fmt: skip
    assert [row[:2] for row in rows] == [
        ["all", "16"], ["biology", "8"], ["physics", "8"], ["biology cells", "8"], ["physics motion", "8"],
    ]  # fmt: skip
    for row, column in ((rows[0], 2), (rows[4], 3)):
        record = records[0 if column == 2 else -2]
        part = record["all"] if row[0] == "all" else record["subtasks"][-1]
        assert row[column].startswith(f"{part['unassisted']['value']:.2f} [")
    assert (rows[0][-2:], rows[4][-1], rows[4][-2][:5]) == (["", ""], "0.25", "1.00 ")
    page = write_report(folder).read_text()
    for cell in (*headings, *(cell for row in rows for cell in row)):
        assert f">{escape(cell)}</t" in page
    assert by_part([]) == ([], [])
    assert "unassisted, step 0" in by_part(records[:2])[0]
    assert not any("step 3" in heading for heading in by_part(records[:2])[0])


@pytest.mark.parametrize(("steps", "planned", "words"), [
    (0, 0, ["finished", "before"]),
    (1, 1, ["finished", "after 1 step<"]),
    (2, 9, ["step 2 of 9"]),
])  # fmt: skip
def test_short_and_interrupted_runs_are_readable(tmp_path, steps, planned, words):
    folder = made_run(tmp_path / "run", steps, planned)
    for name in ("metrics.jsonl", "episodes.jsonl", "evaluations.jsonl"):
        with (folder / name).open("a") as file:
            file.write('{"step": 3, "ki')  # the line that was being written
    page = write_report(folder).read_text()
    assert all(word in page for word in words)


def test_a_run_that_was_stopped_before_anything_is_readable(tmp_path):
    folder = made_run(tmp_path / "run", 0, 5)
    for name in ("metrics.jsonl", "episodes.jsonl", "evaluations.jsonl"):
        (folder / name).unlink()
    assert "No step and no evaluation" in write_report(folder).read_text()


def test_samples_show_each_course_of_an_episode_first(tmp_path):
    questions = [choice_question(f"q{i}") for i in range(9)]
    folder = made_run(tmp_path / "run", 5, batch=[e for q in questions for e in episodes(q)])
    shown = samples(folder / "episodes.jsonl")
    assert [step for step, _ in shown] == [1, 3, 5]
    for _, chosen in shown:
        assert len(chosen) == 8
        assert [(e["stop"], len(e["attempts"])) for e in chosen[:4]] == [
            ("solved", 2), ("solved", 1), ("out_of_attempts", 2), ("teacher_failed", 1),
        ]  # fmt: skip
        assert len({e["question_id"] for e in chosen[4:]}) == 4


def test_a_long_run_is_read_in_bounded_memory(tmp_path):
    """2000 steps of 256 episodes, 0.3 GB of them."""
    folder = made_run(tmp_path / "run", 1, 2000)
    (block,) = {"".join((folder / "episodes.jsonl").read_text().splitlines(keepends=True) * 64)}
    with (folder / "episodes.jsonl").open("a") as rows, (folder / "metrics.jsonl").open("a") as metrics:
        for step in range(2, 2001):
            rows.write(block.replace('"step": 1,', f'"step": {step},'))
            metrics.write(json.dumps({"kind": "train", "step": step, **all_metrics("train", step)}) + "\n")
            if step % 10 == 0:
                metrics.write(json.dumps({"kind": "eval", "step": step, **all_metrics("eval", step)}) + "\n")
    assert (folder / "episodes.jsonl").stat().st_size > 2e8
    tracemalloc.start()
    path = write_report(folder)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100e6
    assert path.stat().st_size < 2e6
    assert re.findall(r"<h4>(Step \d+)</h4>", path.read_text()) == ["Step 1", "Step 1000", "Step 2000"]


def test_the_report_is_written_again_by_its_command(tmp_path, capsys):
    folder = made_run(tmp_path / "run", 1)
    assert report.main([str(folder)]) == 0
    assert capsys.readouterr().out.strip() == str(folder / "report.html")
    assert report.main([str(tmp_path)]) == 2
    assert "config.json" in capsys.readouterr().err
    with pytest.raises(ConfigurationError, match="no folder"):
        write_report(tmp_path / "nowhere")


# -- socratic view -----------------------------------------------------------------------


def test_view_says_what_is_wrong(tmp_path, capsys):
    def refused(*arguments):
        assert main(["view", *map(str, arguments)]) == 2
        return capsys.readouterr().err

    assert "no folder" in refused(tmp_path / "nowhere")
    assert "not the folder of a run: it has no config.json" in refused(tmp_path)
    folder = made_run(tmp_path / "run", 2)
    assert f"python -m agents.reports {folder}" in refused(folder, "--report")
    assert "its last step is 2" in refused(folder, "--terminal", "--step", "7")
    assert "--step 1 chooses episodes; leave out" in refused(folder, "--step", "1", "--report")
    assert "has no episodes of step 7" in refused(folder, "--step", "7")
    assert "--port 99999 cannot be had" in refused(folder, "--serve", "--port", "99999")
    for number in (0, -1):
        assert f"--episodes is {number}; give at least 1" in refused(
            folder, "--terminal", "--episodes", number
        )
    (folder / "episodes.jsonl").write_text("[]\n")
    assert "has a line that no run wrote: b'[]" in refused(folder, "--terminal")
    (folder / "episodes.jsonl").write_text("")
    assert "no step has finished" in refused(folder, "--terminal")
    assert "no step has finished" in refused(folder)
    (folder / "episodes.html").mkdir()
    (folder / "episodes.jsonl").write_text('{"step": 1}\n')
    assert "cannot be written" in refused(folder)


def test_view_opens_the_report(tmp_path, capsys, monkeypatch):
    path = write_report(made_run(tmp_path / "run", 1))
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url) or len(opened) == 1)
    assert main(["view", str(path.parent), "--report"]) == 0
    assert opened == [path.as_uri()]
    assert main(["view", str(path.parent), "--report"]) == 1, "no browser could be opened"
    assert str(path) in capsys.readouterr().out


def test_view_writes_and_opens_the_page_of_episodes(tmp_path, capsys, monkeypatch):
    folder = made_run(tmp_path / "run", 3)
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url) or True)
    assert main(["view", str(folder), "--step", "2"]) == 0
    page = folder / "episodes.html"
    assert opened == [page.as_uri()]
    assert '"step": 2' in page.read_text()
    assert '"step": 1' not in page.read_text()
    assert '"left_out": 7' in episodes_page(folder, most=5)


def test_the_page_of_an_evaluation_has_its_open_episodes(tmp_path):
    folder = made_run(tmp_path / "run", 1)
    played = [json.loads(line) for line in (folder / "episodes.jsonl").read_text().splitlines()]
    for sample, record in enumerate(played):
        record |= {"step": 0, "sample": sample}
    (folder / "episodes.jsonl").write_text("".join(json.dumps(record) + "\n" for record in played))
    faults = [
        {**played[0], "fault": "old"},
        {**played[0], "sample": 99, "fault": "gone for good", "stop": None},
    ]
    (folder / "faults.jsonl").write_text("".join(json.dumps(record) + "\n" for record in faults))
    page = episodes_page(folder)
    assert "gone for good" in page
    assert '"fault": "old"' not in page, "it was played since"
    with serve(folder) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            address = f"http://127.0.0.1:{server.server_address[1]}"
            with urlopen(f"{address}/open") as answer:
                assert {"gone for good"} <= {one["fault"] for one in json.load(answer)}
            (folder / "faults.jsonl").write_text("no JSON\n")
            with pytest.raises(HTTPError) as refused:
                urlopen(f"{address}/open")
            assert refused.value.code == 500
            assert "faults.jsonl" in refused.value.read().decode()
        finally:
            server.shutdown()
            thread.join()


def test_view_serves_until_it_is_interrupted(tmp_path, capsys, monkeypatch):
    folder = made_run(tmp_path / "run", 1)
    monkeypatch.setattr("webbrowser.open", lambda url: True)

    def interrupted(self):
        raise KeyboardInterrupt

    monkeypatch.setattr("http.server.ThreadingHTTPServer.serve_forever", interrupted)
    assert main(["view", str(folder), "--serve"]) == 0
    assert "http://127.0.0.1:" in capsys.readouterr().out
    assert episodes_from(tmp_path / "missing", 3) == {"episodes": [], "next": 0, "anew": True}


def test_view_prints_episodes_that_cannot_steer_the_terminal(tmp_path, capsys):
    hostile = "\x1b[2J\x1b]0;owned\x07 \u202e[red]bracketed[/red]"
    folder = made_run(tmp_path / "run", 2, batch=episodes(choice_question("q/1"), hostile))
    assert main(["view", str(folder), "--terminal", "--step", "1"]) == 0
    out = capsys.readouterr().out
    assert "\x1b]" not in out
    assert "\u202e" not in out
    assert "\\u001b]0;owned\\u0007 \\u202e[red]bracketed[/red]" in out
    assert out.count("step 1 ") == 4
    for words in ("Which one?", "wrong option, reward 0.000", "correct, reward 0.250", "leaks: letter"):
        assert words in out
    assert main(["view", str(folder), "--json", "--episodes", "3"]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [r["step"] for r in records] == [2, 2, 2]
