"""The base of viewpoints: its rules under any sequence of events, and its file under any kill."""

import copy
import json
import pickle
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from socratic_env.errors import ConfigurationError, RecordingError
from socratic_env.questions import load_questions
from socratic_env.viewpoints import KnowledgeBase, Trace, Utility, Viewpoint, applies, labels
from socratic_env.viewpoints.viewpoint import LONGEST

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
BRACKETS = Viewpoint(
    "What stands in brackets comes first.",
    "causal",
    "ignored the brackets",
    Trace("arithmetic/sum_times/train/0", "runs/one", 3, 1, 2, "(4 + 6) * 3\n= 4 + 18"),
    "rule",
    "1",
    Utility(0.1, (0.05, 0.15), 300, 40, 2, "s0", "abc", ("0123",)),
    vetoed="",
    merged=(Viewpoint("what stands in brackets comes first", trigger="Ignored the brackets"),),
)


def memory(**arguments) -> KnowledgeBase:
    return KnowledgeBase(clock=lambda: NOW, **arguments)


# -- the record --------------------------------------------------------------------------


def test_a_viewpoint_goes_through_json_and_back():
    assert Viewpoint.of(json.loads(json.dumps(BRACKETS.as_json()))) == BRACKETS
    assert Viewpoint.of(BRACKETS) is BRACKETS
    assert Viewpoint.of("Look twice.") == Viewpoint("Look twice.")
    assert Viewpoint.of({"text": "x", "trace": Trace("q"), "utility": Utility(0.5)}).utility == Utility(0.5)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("  ", "text is '  '"),
        (7, "viewpoint is 7; give a text or a mapping"),
        ({"kind": "principle"}, "has no 'text'"),
        ({"text": "x", "kind": "prinziple"}, "did you mean 'principle'"),
        ({"text": "x", "triger": "y"}, "did you mean 'trigger'"),
        ({"text": "x", "trigger": None}, "trigger is None; give a text"),
        ({"text": "x" * (LONGEST + 1)}, f"give at most {LONGEST}"),
        ({"text": "x", "trace": {"question_id": ""}}, "question_id is ''"),
        ({"text": "x", "trace": {}}, "trace {} has no 'question_id'"),
        ({"text": "x", "utility": {"value": float("nan")}}, "give finite numbers"),
        ({"text": "x", "utility": {"value": 0.1, "interval": [0.0]}}, "give its two ends"),
    ],
)
def test_what_is_no_viewpoint_is_one_clear_error(given, message):
    with pytest.raises(ConfigurationError, match=message.replace("{}", r"\{\}")):
        Viewpoint.of(given)


@given(st.text(min_size=1).filter(str.strip).filter(lambda text: len(text) < 100))
def test_case_blanks_and_marks_at_the_ends_make_no_other_viewpoint(text):
    one = Viewpoint(text, trigger="sum_times")
    assert Viewpoint(f"  {text}\n. ", trigger=" SUM TIMES ").id == one.id
    assert Viewpoint(f"{text} again", trigger="sum_times").id != one.id
    assert Viewpoint(text).id != one.id


def test_signs_inside_a_text_do_make_another():
    assert Viewpoint("a - b").id != Viewpoint("a + b").id


# -- where it applies ---------------------------------------------------------------------


def test_a_trigger_names_domain_sub_task_level_mistake_or_place():
    question = load_questions("arithmetic").find("arithmetic/sum_times/train/0")
    named = labels(question)
    for trigger in (
        "",
        "arithmetic",
        "sum_times",
        "Sum Times",
        question.level,
        "ignored the brackets",
        "the sum in the brackets",
        "arithmetic / ignored the brackets.",
    ):
        assert applies(Viewpoint("x", trigger=trigger), question), trigger
        assert applies(Viewpoint("x", trigger=trigger), question, named), trigger
    for trigger in ("brackets", "plus product", "chemistry", "arithmetic / worked from left to right"):
        assert not applies(Viewpoint("x", trigger=trigger), question), trigger


# -- the base ----------------------------------------------------------------------------


def test_duplicates_are_merged_with_their_traces():
    base = memory()
    first = base.propose({"text": "Look twice.", "trace": {"question_id": "q0"}})
    assert first.created == NOW.isoformat()
    again = base.propose({"text": "look  twice", "trace": {"question_id": "q1"}, "teacher": "other"})
    assert len(base) == 1
    assert [trace.question_id for trace in again.traces] == ["q0", "q1"]
    assert again.merged[0].teacher == "other"
    assert [event.what for event in base.history] == ["proposed", "merged"]
    assert again in base
    assert "Look twice." not in base


def test_v_has_a_cap_and_one_for_each_trigger():
    base = memory(cap=2)
    good, bad, other, same = (
        base.propose(Viewpoint(text, trigger=trigger))
        for text, trigger in [("good", "t0"), ("bad", ""), ("other", ""), ("same", "T0")]
    )
    base.measure(good.id, Utility(0.2))
    base.measure(bad.id, Utility(-0.1))
    base.activate(good.id)
    assert base.activate(good.id).text == "good"
    base.activate(bad.id)
    base.activate(other.id)
    assert [one.text for one in base.active] == ["good", "other"], "the weakest makes room"
    base.activate(same.id)
    assert [one.text for one in base.active] == ["other", "same"], "one for each trigger"
    retired = [event for event in base.history if event.what == "retired"]
    assert [event.reason for event in retired] == [
        f"makes room for {other.id}; V holds 2",
        f"{same.id} has its trigger",
    ]


def test_a_veto_has_a_reason_and_holds():
    base = memory()
    one = base.propose("x")
    base.activate(one.id)
    with pytest.raises(ConfigurationError, match="reason ' '; give a text"):
        base.veto(one.id, " ")
    assert base.veto(one.id, "leaks").vetoed == "leaks"
    assert base.active == ()
    assert base.propose("X").vetoed == "leaks"
    with pytest.raises(ConfigurationError, match=r"is vetoed \(leaks\)"):
        base.activate(one.id)
    with pytest.raises(ConfigurationError, match="is not active"):
        base.retire(one.id, "never was")


def test_a_distillation_empties_v_and_keeps_the_base():
    base = memory()
    ids = [base.propose(text).id for text in "abc"]
    for one in ids[:2]:
        base.activate(one)
    assert [one.text for one in base.distil("student 1")] == ["a", "b"]
    assert (base.active, len(base)) == ((), 3)
    assert base.history[-1].ids == tuple(ids[:2])
    assert [one.text for one in base.distil("student 2", [ids[2][:8]])] == ["c"]
    base.distil()
    assert base.history[-1].ids == ()


def test_every_measurement_is_kept():
    base = memory()
    one = base.propose("x")
    for value in (0.1, 0.3):
        base.measure(one.id, Utility(value, student=f"s{value}"))
    assert [found.value for found in base.measured(one.id[:6])] == [0.1, 0.3]
    assert base[one.id].utility == Utility(0.3, student="s0.3")


def test_an_id_is_known_by_its_beginning_alone():
    base = memory()
    one, _ = base.propose("x"), base.propose("y")
    assert base[one.id[:8]] == one
    for wanted, message in (("", "there is none"), ("zz", "there is none")):
        with pytest.raises(ConfigurationError, match=message):
            base[wanted]
    many = memory()
    for number in range(17):
        many.propose(f"v{number}")
    with pytest.raises(ConfigurationError, match="viewpoints begin so"):
        next(many[digit] for digit in "0123456789abcdef" if sum(v.id[0] == digit for v in many) > 1)


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["propose", "activate", "retire", "veto", "measure", "distil"]),
        st.integers(0, 5),
        st.integers(0, 3),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(OPERATIONS, st.integers(1, 3))
def test_the_rules_hold_after_any_events_and_the_file_has_them_all(tmp_path_factory, operations, cap):
    path = tmp_path_factory.mktemp("base") / "base.jsonl"
    with KnowledgeBase(path, cap) as base:
        sizes = [0]
        for what, text, extra in operations:
            known = [one.id for one in base]
            one = known[text % len(known)] if known else None
            if what == "propose":
                base.propose(Viewpoint(f"text {text}", trigger=f"t{extra}" if extra else ""))
            elif what == "distil":
                base.distil()
            elif one is None or (what == "activate" and base[one].vetoed):
                continue
            elif what == "retire":
                if base[one] in base.active:
                    base.retire(one, "why")
            elif what == "veto":
                base.veto(one, "why")
            elif what == "measure":
                base.measure(one, Utility(extra / 10))
            else:
                base.activate(one)
                assert base[one] in base.active
            sizes.append(len(base))
            triggers = [v.trigger for v in base.active if v.trigger]
            assert len(base.active) <= cap
            assert len(set(triggers)) == len(triggers)
            assert not any(v.vetoed for v in base.active)
        assert sizes == sorted(sizes), "nothing is taken out"
        read = KnowledgeBase.read(path)
        assert (list(read), read.active, read.history) == (list(base), base.active, base.history)


# -- the file ----------------------------------------------------------------------------


def filled(path: Path) -> KnowledgeBase:
    base = KnowledgeBase(path, clock=lambda: NOW)
    base.activate(base.propose(BRACKETS).id)
    base.measure(base.propose("other").id, Utility(0.1, (0.0, 0.2)))
    base.veto(base.propose("bad").id, "why")
    base.distil("s1")
    return base


def test_a_file_cut_anywhere_opens_as_a_beginning_of_it(tmp_path):
    whole = tmp_path / "whole.jsonl"
    with filled(whole) as base:
        history = base.history
    content = whole.read_bytes()
    for end in range(0, len(content), 7):
        cut = tmp_path / "cut.jsonl"
        cut.write_bytes(content[:end])
        with KnowledgeBase(cut, clock=lambda: NOW) as base:
            assert base.history == history[: len(base.history)]
            base.propose("goes on")
        assert len(KnowledgeBase.read(cut).history) == len(base.history)


def test_it_survives_a_kill(tmp_path):
    path = tmp_path / "base.jsonl"
    code = (
        "import itertools, sys; from socratic_env.viewpoints import KnowledgeBase\n"
        "base = KnowledgeBase(sys.argv[1], cap=3)\n"
        "for n in itertools.count():\n"
        "    base.activate(base.propose(f'viewpoint {n}').id); print(n, flush=True)"
    )
    writer = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    told = [int(writer.stdout.readline()) for _ in range(50)][-1]
    with pytest.raises(RecordingError, match="close the other writer"):
        KnowledgeBase(path)
    assert len(KnowledgeBase.read(path)) > told, "it may be read meanwhile"
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    with KnowledgeBase(path, cap=3) as base:
        assert len(base) > told
        assert len(base.active) in (2, 3)
        base.propose("goes on")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("not JSON", "JSONDecodeError"),
        ('{"time": ""}', "KeyError: 'what'"),
        ('{"what": "gone", "time": "", "ids": []}', "'gone' is none of proposed"),
        ('{"what": "vetoed", "time": "", "ids": ["0"]}', "'0' was never proposed"),
        ('{"what": "proposed", "time": "", "ids": ["0"]}', "other fields than it needs"),
        ('{"what": "measured", "time": "", "ids": ["0"]}', "other fields than it needs"),
    ],
)
def test_a_line_that_is_no_event_is_named(tmp_path, line, message):
    path = tmp_path / "base.jsonl"
    filled(path).close()
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], line, *lines[1:], ""]))
    with pytest.raises(RecordingError, match=f"line 2: no event of a knowledge base .*{message}"):
        KnowledgeBase(path)
    with pytest.raises(RecordingError, match="line 2"):
        KnowledgeBase.read(path)


def test_a_base_that_was_read_closed_or_copied_takes_nothing(tmp_path):
    path = tmp_path / "base.jsonl"
    base = filled(path)
    assert copy.deepcopy({"viewpoints": base})["viewpoints"] is base
    copied = pickle.loads(pickle.dumps(base))
    assert list(copied) == list(base)
    base.close()
    base.close()
    for one in (base, copied, KnowledgeBase.read(path)):
        with pytest.raises(RecordingError, match="cannot be written, since it was opened to be read"):
            one.propose("x")
    with pytest.raises(RecordingError, match=r"cannot be read .*give the file of a knowledge base"):
        KnowledgeBase.read(tmp_path / "nothing")
    with pytest.raises(ConfigurationError, match="cap is 0"):
        KnowledgeBase(cap=0)
