"""Play an episode by hand: you are the student, and read verdict, guidance and reward.

Run: python examples/play.py                      # in a terminal; type a letter
     printf 'A\nC\n' | python examples/play.py    # or pipe the answers in
     python examples/play.py < /dev/null          # no answers: it tries all letters in turn
"""

from __future__ import annotations

import sys

import gymnasium as gym

import socratic_env  # noqa: F401 - registers the ids
from socratic_env.types import reply


def answers() -> list[str]:
    """What was piped in, a line for each answer; all letters if nothing was."""
    return [line.strip() for line in sys.stdin if line.strip()] or list("ABCD")


def main() -> None:
    """One episode of at most four attempts."""
    typed = None if sys.stdin.isatty() else iter(answers())
    env = gym.make("SocraticPhysics-v0", max_attempts=4, reward="constant:0.5")
    _, info = env.reset()
    print(info["messages"][-1]["content"])
    ended = False
    while not ended:
        answer = input("\nyour answer: ") if typed is None else next(typed, "")
        if not answer:
            print("\nleft before the end")
            break
        _, reward, terminated, truncated, info = env.step(reply("Typed by hand.", answer.upper()))
        print(f"\n{answer}: {info['verdict']}, reward {float(reward):g}")
        if info["guidance"]:
            print(f"teacher: {info['guidance']}")
        ended = terminated or truncated
    env.close()


if __name__ == "__main__":
    main()
