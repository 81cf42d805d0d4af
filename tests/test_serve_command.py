"""`socratic serve` where openenv-core is missing, or its arguments cannot be used."""

import sys

import pytest

from socratic_env.cli import main


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["SocraticSciKnowledge-v0"], "`socratic envs` lists the ids"),
        (["SocraticSciKnow-Discrete-v0"], "named Discrete take no text"),
        (["--max-sessions", "0"], "--max-sessions is 0"),
        (["--teacher", '{"kind": '], "teacher '{\"kind\": ' is no valid JSON"),
        (["--teacher", "retry", "--questions", "concepts"], "pip install 'socratic-env[openenv]'"),
    ],
)
def test_it_says_what_is_missing(arguments, message, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "openenv", None)
    monkeypatch.delitem(sys.modules, "socratic_env.adapters.openenv", raising=False)
    assert main(["serve", *arguments]) == 2
    assert message in capsys.readouterr().err
