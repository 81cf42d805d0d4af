"""A verifier of your own: one function (question, text) -> Verdict. Check it, and use it in an environment.

Run: python examples/own_verifier.py
"""

from __future__ import annotations

import gymnasium as gym

from socratic_env import Question, Verdict
from socratic_env.checks import check_verifier
from socratic_env.errors import CheckError
from socratic_env.types import reply
from socratic_env.verifiers import by_kind

FEWEST_WORDS = 5


def with_working(question: Question, text: str) -> Verdict:
    """The built-in verifier, which also wants a few words of working before the answer."""
    _, _, after = text.partition("<reasoning>")
    words = after.partition("</reasoning>")[0].split()
    if len(words) < FEWEST_WORDS:
        return Verdict(False, None, "no working is shown")
    return by_kind(question, text)


def last_letter(question: Question, text: str) -> Verdict:
    """A careless one: any letter that stands at the end is the answer."""
    letter = text.rstrip()[-1:].upper()
    return Verdict(letter == question.answer, letter or None, "judged by the last letter")


def worked(reasoning: str, answer: str) -> str:
    """A reply in the form that `with_working` reads."""
    return reply(f"I work it out step by step. {reasoning}", answer)


def main() -> None:
    """Check both verifiers, then judge two replies by the sound one."""
    check_verifier(with_working, form=worked)
    print("check_verifier: fine")
    try:
        check_verifier(last_letter, form=lambda reasoning, answer: f"{reasoning} So it is {answer}")
    except CheckError as error:
        print(f"check_verifier: {error}")
    env = gym.make("SocraticChemistry-v0", verifier=with_working)
    env.reset(seed=0)
    for reasoning in ("I guess.", "I add the masses of all atoms."):
        *_, info = env.step(reply(reasoning, "A"))
        print(f"{reasoning} -> {info['verdict']}")
    env.close()


if __name__ == "__main__":
    main()
