"""`socratic compare`: what was measured, differences with both intervals, the page, and clear refusals."""

import json

import numpy as np
import pytest
from support.made_runs import made_run

from socratic_env.cli import main
from socratic_env.cli.compare import folders_of
from socratic_env.errors import ConfigurationError
from socratic_env.evaluation.contrasts import Side, contrast, over_seeds, quantile
from socratic_env.evaluation.measured import TRAINING, Measured, mean_curve, read_measured, settings_of


def measured(path, shares, seed=None, most=None, **settings):
    least = np.array(shares, dtype=float)
    upper = least if most is None else np.array(most, dtype=float)
    keys = [str(i) for i in range(len(least))]
    questions = {"env": "E", "eval_questions": len(least), **settings}
    return Measured(
        path, TRAINING, {**questions, "seed": seed}, keys, {1: (least, upper)}, int((upper > least).sum()), 4
    )


def group(tmp_path, name, rows, **settings):
    return Side(
        name, [measured(tmp_path / name / str(i), row, seed=i, **settings) for i, row in enumerate(rows)]
    )


@pytest.fixture(scope="module")
def evaluations(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluations")
    for name, knows in (("weak", "0.2"), ("strong", "0.8")):
        command = ["eval", "--out", str(folder / name), "--number", "8", "--samples", "3"]
        assert main([*command, "--habits.knows", knows]) == 0
    return folder


def compared(capsys, *arguments):
    capsys.readouterr()
    assert main(["compare", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_evaluations_are_paired_by_question(evaluations, capsys):
    found = compared(capsys, evaluations / "weak", evaluations / "strong")
    weak, strong = (json.loads((evaluations / n / "result.json").read_text()) for n in ("weak", "strong"))
    metric = found["sides"][1]["metrics"]["unassisted"]
    assert metric["value"] == pytest.approx(strong["all"]["unassisted"]["value"])
    assert metric["difference"] == pytest.approx(
        strong["all"]["unassisted"]["value"] - weak["all"]["unassisted"]["value"]
    )
    low, high = metric["difference_interval"]
    assert low < metric["difference"] < high
    assert metric["seed_interval"] is None
    assert found["settings"] == {"habits.knows": [0.2, 0.8]}
    assert len(found["sides"][1]["won"]) > len(found["sides"][1]["lost"])


def test_what_an_interrupted_evaluation_did_not_play_is_open(evaluations, tmp_path, capsys):
    part = tmp_path / "part"
    part.mkdir()
    (part / "config.json").write_bytes((evaluations / "strong" / "config.json").read_bytes())
    lines = (evaluations / "strong" / "episodes.jsonl").read_text().splitlines(keepends=True)
    lines.sort(key=lambda line: json.loads(line)["question_id"])
    (part / "episodes.jsonl").write_text("".join(lines[:9]))
    found = compared(capsys, evaluations / "strong", part)["sides"][1]
    whole = compared(capsys, evaluations / "weak", evaluations / "strong")["sides"][1]
    assert found["open"] == 15
    assert found["metrics"]["unassisted"]["upper"] > whole["metrics"]["unassisted"]["value"]
    low, high = found["metrics"]["unassisted"]["difference_interval"]
    assert low < 0 <= high, "it may be as good as the whole one"
    assert found["won"] == found["lost"] == []
    assert found["unknown"] == 5
    both = compared(capsys, part, part / ".." / "part")["sides"][1]
    assert both["unknown"] == 5, "nobody has played them"


def test_the_page_shows_dialogues_beside_each_other(evaluations, tmp_path, capsys):
    page = tmp_path / "pages" / "compare.html"
    folders = [str(evaluations / name) for name in ("weak", "strong")]
    assert main(["compare", *folders, "--html", str(page)]) == 0
    shown = capsys.readouterr().out
    assert "habits.knows: 0.2 | 0.8" in shown
    assert str(page) in shown
    text = page.read_text()
    assert "attempt 1, right" in text
    assert "teacher: " in text
    assert "Over the steps" not in text, "evaluations have no steps"


def test_runs_have_curves_and_steps(tmp_path, capsys):
    runs = [made_run(tmp_path / name, 6) for name in ("a", "b")]
    page = tmp_path / "compare.html"
    assert main(["compare", *map(str, runs), "--html", str(page), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [point["step"] for point in found["sides"][0]["curves"]["unassisted"]] == [0, 6]
    assert found["sides"][1]["metrics"]["unassisted"]["difference"] == 0.0
    assert page.read_text().count('class="curve"') == 4
    assert any("one seed" in line for line in found["warnings"])
    earlier = compared(capsys, *runs, "--step", "0")
    assert earlier["sides"][0]["step"] == [0]
    assert main(["compare", *map(str, runs), "--step", "3"]) == 2
    assert "no evaluation at it; its steps are 0, 6" in capsys.readouterr().err


def test_a_folder_of_runs_or_a_list_of_them_is_a_group_of_seeds(tmp_path):
    made = [made_run(tmp_path / "group" / f"seed-{i}", 1) for i in range(2)]
    assert folders_of(str(tmp_path / "group")) == made
    assert folders_of(",".join(map(str, made))) == made
    assert folders_of(str(made[0])) == [made[0]]
    with pytest.raises(ConfigurationError, match="names no folder"):
        folders_of(",")


def test_the_interval_over_seeds_is_students_t(tmp_path):
    base = group(tmp_path, "base", [[0.0, 0.2], [0.2, 0.2], [0.3, 0.3]])
    side = group(tmp_path, "side", [[0.4, 0.4], [0.4, 0.6], [0.5, 0.5]])
    differences = np.array([0.3, 0.3, 0.2])
    room = 4.303 * differences.std(ddof=1) / np.sqrt(3)
    assert over_seeds(side, base, 1) == pytest.approx([differences.mean() - room, differences.mean() + room])
    two = Side("two", side.members[:2])
    low, high = over_seeds(two, base, 1)
    assert low < 0.45 - (0.1 + 0.2 + 0.3) / 3 < high, "other seeds: Welch"
    found = contrast([base, side])["sides"][1]["metrics"]["unassisted"]
    assert found["by_seed"] == pytest.approx([0.4, 0.5, 0.5])


def test_the_order_of_seeds_changes_nothing(tmp_path):
    base = group(tmp_path, "base", [[0.0, 0.2], [0.2, 0.2], [0.3, 0.3]])
    side = group(tmp_path, "side", [[0.4, 0.4], [0.4, 0.6], [0.5, 0.5]])
    turned = Side("side", side.members[::-1])
    assert over_seeds(turned, base, 1) == pytest.approx(over_seeds(side, base, 1))


def test_seeds_that_agree_by_chance_make_nothing_certain(tmp_path):
    side, base = (group(tmp_path, name, [[0.5], [0.5]]) for name in ("side", "base"))
    assert over_seeds(side, base, 1) is None
    assert over_seeds(Side("s", [*side.members, measured(tmp_path, [0.5], 9)]), base, 1) is None


def test_open_episodes_widen_both_intervals(tmp_path):
    base = group(tmp_path, "base", [[0.1, 0.2], [0.2, 0.2]])
    known = group(tmp_path, "known", [[0.5, 0.4], [0.4, 0.8]])
    doubtful = Side(
        "open", [measured(m.path, m.accuracy[1][0], m.seed, [0.9, 0.7 + 0.2 * m.seed]) for m in known.members]
    )
    one, two = (contrast([base, side])["sides"][1]["metrics"]["unassisted"] for side in (known, doubtful))
    for name in ("difference_interval", "seed_interval"):
        assert two[name][0] <= one[name][0]
        assert two[name][1] > one[name][1] or two[name][1] == 1.0


def test_quantiles_are_never_too_narrow():
    assert quantile(1) == 12.706
    assert quantile(2.9) == quantile(2) == 4.303
    assert quantile(500) == quantile(20) == 2.086 > 1.96


def test_what_cannot_be_compared_is_refused(tmp_path, evaluations, capsys):
    run = made_run(tmp_path / "run", 1)
    empty = made_run(tmp_path / "empty", 0, 5)
    (empty / "evaluations.jsonl").unlink()
    strange, torn = tmp_path / "strange", tmp_path / "torn"
    for folder, config in ((strange, '{"kind": "evaluation", "samples": 1}'), (torn, "{")):
        folder.mkdir()
        (folder / "config.json").write_text(config)
    idle = tmp_path / "idle"
    idle.mkdir()
    (idle / "config.json").write_bytes((evaluations / "weak" / "config.json").read_bytes())
    weak = evaluations / "weak"
    other = tmp_path / "other"
    assert main(["eval", "--out", str(other), "--number", "5", "--samples", "1"]) == 0
    for arguments, message in [
        ([run], "nothing to be compared with"),
        ([run, run], "two sides are called"),
        ([run, weak], "one is a training run"),
        ([weak, other], "not measured on the same questions"),
        ([run, empty], "no evaluation yet"),
        ([weak, strange], "no run of this version wrote"),
        ([weak, torn], "holds no settings"),
        ([weak, idle], "no episodes yet"),
        ([weak, tmp_path / "missing"], "is no folder"),
        ([f"{run},{run}", weak], "one is a training run"),
        ([weak, f"{weak},{weak}"], "names a folder twice"),
        ([weak, evaluations / "strong", "--step", "1"], "has no steps"),
        ([weak, evaluations / "strong", "--resamples", "0"], "at least 1"),
        ([weak, evaluations / "strong", "--html", tmp_path], "cannot be written"),
    ]:
        capsys.readouterr()
        assert main(["compare", *map(str, arguments)]) == 2
        assert message in capsys.readouterr().err, arguments


def test_two_folders_of_one_seed_are_no_seeds(tmp_path):
    twice = Side("twice", [measured(tmp_path / name, [0.5], 1) for name in "ab"])
    with pytest.raises(ConfigurationError, match="same seed"):
        contrast([group(tmp_path, "base", [[0.1]]), twice])


def test_what_makes_a_group_no_group_is_said(tmp_path):
    mixed = Side("mixed", [measured(tmp_path / str(i), [0.5, 0.1], i, lr=i) for i in range(2)])
    warnings = contrast([group(tmp_path, "base", [[0.1, 0.1], [0.2, 0.2]]), mixed])["warnings"]
    assert any("differ in more than the seed (lr)" in line for line in warnings)


def test_curves_of_seeds_meet_where_all_have_steps():
    def point(step, value, interval):
        return {"step": step, "value": value, "interval": interval}

    one = [point(0, 0.2, [0.1, 0.3]), point(2, 0.4, [0.3, 0.5]), point(4, None, None)]
    two = [point(0, 0.4, [0.3, 0.6]), point(3, 0.4, [0.3, 0.5]), point(4, 0.4, [0.3, 0.5])]
    assert mean_curve([one, two]) == [{"step": 0, "value": pytest.approx(0.3), "interval": [0.1, 0.6]}]
    assert mean_curve([]) == []


def test_settings_have_dotted_names(tmp_path):
    config = {"run_dir": "x", "loss": {"kl": 0.0}, "env": "E", "empty": {}}
    assert settings_of(config) == {"loss.kl": 0.0, "env": "E", "empty": {}}
    assert read_measured(made_run(tmp_path / "run", 1)).settings["loss.kl"] == 0.0
