"""Pages in a real, offline Chromium: nothing asked for, nothing complained of, all charts drawn, every
text legible."""

import json
import re
import threading
from dataclasses import replace
from itertools import product
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from support.browser import chromium, look, running
from support.made_runs import episodes, made_run
from support.scripted import choice_question

from agents.reports.report import write_report
from agents.runs.metric_table import SECTIONS
from socratic_env.cli import main
from socratic_env.evaluation.episodes_page import episodes_page, serve
from socratic_env.questions import QuestionList
from socratic_env.records.run_folder import read_lines
from socratic_env.viewpoints import KnowledgeBase, Trace, Viewpoint

pytestmark = pytest.mark.skipif(
    chromium() is None, reason="no Chromium is installed (apt-get install chromium)"
)

HOSTILE = (
    "</script></style></svg><img src=x onerror=hacked=1><script>hacked=1</script>{{ 7*7 }}\x00\u202e&lt;"
)
PAGES = ["whole", "empty", "one step", "interrupted", "hostile", "variants", "viewpoints", "utility"]
OPEN_ALL = "document.querySelectorAll('details').forEach((element) => element.open = true)"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with running(tmp_path_factory.mktemp("profile")) as address:
        yield address


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """One page for each kind of run, and the comparison of variants."""
    folder = tmp_path_factory.mktemp("runs")
    question = replace(
        choice_question(f"q/{HOSTILE}"), statement=HOSTILE + "word" * 3000, closing="\ud7ff" * 9
    )
    hostile = made_run(folder / "<img src=x onerror=hacked=1>", 2, batch=episodes(question, HOSTILE))
    config = hostile / "config.json"
    config.write_text(
        config.read_text().replace('"teacher": null', '"teacher": "<img src=x onerror=hacked=1>"')
    )
    runs = {
        "whole": made_run(folder / "whole", 40),
        "empty": made_run(folder / "empty", 0, 5),
        "one step": made_run(folder / "one", 1),
        "interrupted": made_run(folder / "interrupted", 300, 2000),
        "hostile": hostile,
    }
    pages = {name: write_report(run) for name, run in runs.items()}
    pages["variants"] = folder / "variants.html"
    assert main(["bench-teachers", "--number", "6", "--html", str(pages["variants"])]) == 0
    pages["viewpoints"], pages["utility"] = folder / "viewpoints.html", folder / "utility.html"
    path = folder / "base.jsonl"
    with KnowledgeBase(path) as base:
        base.propose(Viewpoint(HOSTILE, trace=Trace(HOSTILE, text=f"{HOSTILE}\n" + "word" * 300)))
        base.propose(Viewpoint("It is 7. " + "word " * 100, trigger="arithmetic", teacher=HOSTILE))
    measured = ["utility", str(path), "--probes", "40", "--write", "--html", str(pages["utility"])]
    assert main(measured) == 0
    assert main(["viewpoints", str(path), "--html", str(pages["viewpoints"])]) == 0
    return pages


@pytest.mark.parametrize("name", PAGES)
def test_pages_are_drawn_and_legible(browser, pages, name):
    charts = sum(len(panels) for panels in SECTIONS.values())
    kinds = {"empty": sum(p.kind == "eval" for ps in SECTIONS.values() for p in ps), "variants": 1}
    kinds |= {"viewpoints": 0, "utility": 0}
    for width, dark in product((1280, 390), (False, True)):
        view = f"{width} pixels, {'dark' if dark else 'light'}"
        seen = look(browser, pages[name], width, dark, prepare=OPEN_ALL)
        assert seen.requests == [], view
        assert seen.complaints == [], view
        found = seen.found
        assert found["overflow"] <= 0, view
        for flaw in ("outside", "overlaps", "faint", "small"):
            assert not found[flaw], (flaw, view)
        assert len(found["charts"]) == kinds.get(name, charts), view
        for chart in found["charts"]:
            assert min(chart["width"], chart["height"]) > 100, (chart, view)
            assert chart["shapes"] > 5, (chart, view)
            assert chart["curves"] or name == "variants", (chart, view)


OPEN_FIRST = """
document.querySelectorAll("#list details").forEach((element, i) => { if (i < 4) element.open = true; });
"""
OPEN_TRUTH = """
const first = document.querySelector("#list details");
first.open = true;
first.append(...dialogue(page.episodes[0]));
const box = first.querySelector("details");
box.open = true;
box.dispatchEvent(new Event("toggle"));
"""
CHOOSE = """
const choose = (id, value) => {
  document.getElementById(id).value = value;
  document.getElementById("filters").dispatchEvent(new Event("input"));
};
"""


def hostile_questions(domain, split):
    """The source of the question of `browsed`."""
    question = replace(choice_question(f"q/{HOSTILE}"), statement=HOSTILE, subtask="motion")
    return QuestionList([replace(question, solution=f"Because {HOSTILE}")])


@pytest.fixture(scope="module")
def browsed(tmp_path_factory):
    """The episodes of a run of hostile texts."""
    folder = tmp_path_factory.mktemp("episodes")
    question = replace(choice_question(f"q/{HOSTILE}"), statement=HOSTILE)
    run = made_run(folder / "run", 3, batch=episodes(question, HOSTILE))
    records = read_lines(run / "episodes.jsonl")
    tokens = [["I ", -0.01], [HOSTILE, -9.0], ["\n", -2.5]]
    records[0]["attempts"][0] |= {"advantage": 1.25, "tokens": tokens}
    (run / "episodes.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    config = run / "config.json"
    source = '"questions": "test_pages_in_browser:hostile_questions"'
    config.write_text(config.read_text().replace('"questions": "concepts"', source))
    page = folder / "episodes.html"
    page.write_text(episodes_page(run), encoding="utf-8")
    return run, page


def test_the_page_of_episodes_is_legible_and_its_texts_do_nothing(browser, browsed):
    for width, dark in product((1400, 500), (False, True)):
        seen = look(browser, browsed[1], width, dark, prepare=OPEN_FIRST)
        assert seen.requests == seen.complaints == []
        found = seen.found
        assert found["overflow"] <= 0
        for flaw in ("outside", "overlaps", "faint", "small"):
            assert not found[flaw], (flaw, width, dark)
        assert (found["images"], found["scripts"], found["hacked"]) == (0, 2, False)
        assert "12 of 12 episodes." in found["text"]


@pytest.mark.parametrize(
    ("filters", "number"),
    [
        ({"outcome": "at once"}, 3),
        ({"outcome": "corrected"}, 3),
        ({"outcome": "failed"}, 3),
        ({"outcome": "leaked"}, 3),
        ({"outcome": "fault"}, 3),
        ({"outcome": "open"}, 3),
        ({"outcome": "cut"}, 0),
        ({"step": "2"}, 4),
        ({"step": "2", "outcome": "corrected"}, 1),
        ({"mistake": "slipped"}, 3),
        ({"subtask": "motion"}, 12),
        ({"search": "WRONG OPTION"}, 9),
        ({"search": "nowhere to be found"}, 0),
        ({"question": "q"}, 0),
    ],
)
def test_episodes_are_filtered(browser, browsed, filters, number):
    script = CHOOSE + "".join(f"choose({k!r}, {v!r});" for k, v in filters.items())
    found = look(browser, browsed[1], 1400, prepare=script).found
    assert f"{number} of 12 episodes." in found["text"]


def test_episodes_are_sorted_and_followed_over_the_steps(browser, browsed):
    found = look(browser, browsed[1], 1400, prepare=CHOOSE + "choose('sort', 'high');").found
    rewards = [float(one) for one in re.findall(r"reward ([\d.]+)", found["text"])]
    assert rewards == sorted(rewards, reverse=True)
    assert rewards[0] > rewards[-1]
    script = (
        "const box = document.querySelector('#list details'); box.append(...dialogue(page.episodes[0]));"
        "box.querySelector('button').click();"
    )
    text = look(browser, browsed[1], 1400, prepare=script).found["text"]
    assert "12 of 12" in text, "one question in all episodes"


def test_the_truth_is_shown_on_demand_only_and_tokens_by_their_probability(browser, browsed):
    closed = look(browser, browsed[1], 1400, prepare=OPEN_FIRST).found["text"]
    assert "Right answer and solution" in closed
    assert "Because" not in closed
    assert "advantage 1.250" in closed
    for width, dark in product((1400, 500), (False, True)):
        seen = look(browser, browsed[1], width, dark, prepare=OPEN_TRUTH)
        assert seen.complaints == []
        found = seen.found
        assert "Right answer: B: option 1" in found["text"]
        assert "Because </script>" in found["text"]
        assert found["hacked"] is False
        for flaw in ("outside", "overlaps", "faint", "small"):
            assert not found[flaw], (flaw, width, dark)


def test_the_server_shows_what_a_running_run_adds(browser, browsed):
    with serve(browsed[0]) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            address = f"http://127.0.0.1:{server.server_address[1]}"
            with urlopen(f"{address}/") as answer:
                assert "<title>Episodes" in answer.read().decode()
            with urlopen(f"{address}/episodes?from=0") as answer:
                first = json.load(answer)
            assert len(first["episodes"]) == 12
            assert {one["answer"] for one in first["truths"].values()} == {"B: option 1"}
            with (browsed[0] / "episodes.jsonl").open("a") as file:
                file.write(json.dumps({**first["episodes"][0], "step": 9}) + '\n{"torn')
            with urlopen(f"{address}/episodes?from={first['next']}") as answer:
                assert [one["step"] for one in json.load(answer)["episodes"]] == [9]
            with urlopen(f"{address}/episodes?from={first['next'] - 5}") as answer:
                assert json.load(answer) == {"episodes": [], "next": 0, "anew": True, "truths": {}}
            for path, host, status in [
                ("/episodes?from=-1", "localhost", 400),
                ("/other", "localhost", 404),
                ("/", "evil.example", 403),
            ]:
                with pytest.raises(HTTPError) as refused:
                    urlopen(Request(f"{address}{path}", headers={"Host": host}))
                assert refused.value.code == status
                refused.value.close()
        finally:
            server.shutdown()
            thread.join()


def test_hostile_texts_are_shown_as_they_are_and_do_nothing(browser, pages):
    found = look(browser, pages["hostile"], 1280, prepare=OPEN_ALL).found
    assert (found["images"], found["scripts"], found["hacked"]) == (0, 0, False)
    for shown in ("</script></style></svg><img src=x onerror=hacked=1>", "{{ 7*7 }}", "&lt;"):
        assert shown in found["text"]
    assert "more characters" in found["text"], "long texts are cut"


def test_the_inspection_finds_what_is_wrong(browser, tmp_path):
    """A page with every flaw at once."""
    page = tmp_path / "flawed.html"
    page.write_text(
        "<!doctype html><meta charset=utf-8><body style='background:#fff'>"
        "<img src='http://127.0.0.1:9/picture.png'><script>hacked = 1; missing()</script>"
        "<p style='color:#ccc'>faint</p><p style='width:3000px'>wide</p>"
        "<p style='position:absolute;top:300px'>under</p><p style='position:absolute;top:300px'>over</p>"
        "<p style='position:absolute;left:2000px'>gone</p><p style='font-size:5px'>tiny</p>"
        "<svg width=0 height=0><path class=curve d='M0 0'/></svg>"
    )
    seen = look(browser, page, 1280)
    assert seen.requests == ["http://127.0.0.1:9/picture.png"]
    assert any("missing is not defined" in complaint for complaint in seen.complaints)
    found = seen.found
    assert found["overflow"] > 0
    assert found["outside"] == ["gone"]
    assert found["overlaps"] == ["under / over"]
    assert found["small"] == ["tiny"]
    assert [text.partition(" ")[0] for text in found["faint"]] == ["faint"]
    assert found["charts"] == [{"title": None, "width": 0, "height": 0, "shapes": 0, "curves": 0}]
    assert (found["images"], found["scripts"], found["hacked"]) == (1, 1, True)
