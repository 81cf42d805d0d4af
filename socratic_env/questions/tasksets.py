"""Tasksets of the package verifiers: a task's prompt asks, its own reward functions judge the reply.

Run with verifiers 0.4.0. A reply is put into a trace as verifiers keeps it, and scored in this process as a
rollout would be; rewards that need a runtime, tools or a container are refused.
"""

from __future__ import annotations

import inspect
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from socratic_env.errors import ConfigurationError, QuestionError
from socratic_env.loops import VERIFIERS, run
from socratic_env.questions.files import Contents, Refused
from socratic_env.questions.question_set import RowError
from socratic_env.types import AnswerKind, Question, Verdict
from socratic_env.verifiers.answer_block import answer_block

ANSWER_FIELDS = (
    "answer", "ground_truth", "solution", "target", "gold", "expected", "expected_answer", "reference",
)  # fmt: skip
"""Fields of a task's data in which the right answer is looked for, where none is named."""
TEST_SHARE = 10
"""One different prompt in so many belongs to the test split, where the taskset has no splits of its own."""
LONGEST_REPLY = 100_000
"""Characters of a reply that are scored; a longer one is wrong."""


@lru_cache(maxsize=16)
def tasks_of(package: str, config: str, size: int) -> tuple[Any, ...]:
    """The first tasks of an installed taskset, or of a module that can be imported, with its config as
    JSON."""
    try:
        import verifiers.v1 as vf
        from verifiers.v1.utils.loaders import taskset_config_type
    except ImportError:
        raise QuestionError(
            f"questions 'verifiers:{package}' needs the package verifiers: install socratic-env[verifiers]"
        ) from None
    try:
        taskset = vf.load_taskset(
            taskset_config_type(package).model_validate({**json.loads(config), "id": package})
        )
        tasks = tuple(itertools.islice(taskset, size))
    except Exception as error:  # a package of anyone's may raise anything
        raise QuestionError(
            f"questions 'verifiers:{package}' cannot be loaded ({type(error).__name__}: {error}); install "
            "the package, and give its settings as config={...}"
        ) from error
    if type(taskset).toolsets(taskset.config):
        raise QuestionError(f"questions 'verifiers:{package}': it gives tools, and a student here has none")
    for task in tasks[:1]:
        _check_kind(package, task)
    return tasks


def _check_kind(package: str, task: Any) -> None:
    """Refuse tasks that cannot be judged by a reply alone."""
    where = f"questions 'verifiers:{package}': its tasks"
    if type(task).NEEDS_CONTAINER or task.data.image is not None:
        raise QuestionError(f"{where} run in a container; run them with vf-eval")
    if type(task).toolsets(task.config):
        raise QuestionError(f"{where} give tools, and a student here has none; run them with vf-eval")
    judges = task.plugged_judges()
    rewards = [*task.hooks("reward"), *(judge.score for judge in judges)]
    if not rewards:
        raise QuestionError(f"{where} have no reward function, so nothing judges; use a taskset that scores")
    for function in rewards:
        runtime = inspect.signature(function).parameters.get("runtime")
        if runtime is not None and runtime.default is inspect.Parameter.empty:
            raise QuestionError(f"{where} have the reward {function.__name__!r}, which needs a runtime")


@dataclass(frozen=True)
class Rewarded:
    """The verifier of one question: the weighted sum of its task's rewards, kept in the verdict's reason.

    package, config, size: of `tasks_of`. index: the task there. threshold: right from this reward on.
    """

    package: str
    config: str
    size: int
    index: int
    threshold: float

    def __call__(self, question: Question, reply: str) -> Verdict:
        """Right from the threshold on. A reward function that fails gives no reward."""
        inside = answer_block(reply)
        said = inside.strip() if isinstance(inside, str) else None  # what a reward reads, only itself knows
        if not reply.strip():
            return Verdict(False, None, "the reply is empty")
        if len(reply) > LONGEST_REPLY:
            return Verdict(False, None, f"the reply is longer than {LONGEST_REPLY} characters")
        task = tasks_of(self.package, self.config, self.size)[self.index]
        trace = _trace(task, reply)
        try:
            run(task.score(trace), on=VERIFIERS)
        except Exception as error:  # whatever a reward function of anyone's raises on what a student writes
            cause = error.__cause__ or error
            if task.plugged_judges():
                raise QuestionError(f"question {question.id!r} cannot be judged: {cause}") from error
            return Verdict(False, said, f"its reward function failed ({type(cause).__name__})")
        earned = float(trace.reward)
        if earned >= self.threshold:
            said = said or reply.strip().splitlines()[-1].strip()
            return Verdict(True, said, f"correct (reward {earned:.3g})")
        return Verdict(False, said, f"reward {earned:.3g}, and {self.threshold:g} is needed")


def _trace(task: Any, reply: str) -> Any:
    """What verifiers would have kept of a rollout in which the student said this."""
    import verifiers.v1 as vf

    thought, closed, rest = reply.rpartition("</think>")
    said = vf.AssistantMessage(
        content=rest.strip() if closed else reply,
        reasoning_content=thought.partition("<think>")[2] if closed else None,
    )
    asked = task.data.prompt
    given = [vf.UserMessage(content=asked)] if isinstance(asked, str) else list(asked or [])
    nodes = [
        vf.MessageNode(parent=i - 1 if i else None, message=message, sampled=i == len(given))
        for i, message in enumerate([*given, said])
    ]
    return vf.Trace(
        task=vf.TraceTask(type=type(task).__name__, data=task.data, key=task.key, hash=task.hash),
        agent=vf.AgentInfo(config=vf.AgentConfig()),
        nodes=nodes,
    )


def read(
    package: str,
    config: Mapping[str, Any],
    split: str,
    size: int,
    threshold: float,
    answer: str | None,
    divided: bool,
) -> Contents:
    """The questions of a split, and the tasks that are none. `divided`: the taskset's own splits are used,
    so that all tasks are of this one."""
    told = json.dumps(config, sort_keys=True)
    contents = Contents()
    first: dict[str, int] = {}  # where each prompt stands first, so that the splits share none
    for index, task in enumerate(tasks_of(package, told, size)):
        question_id = f"{package}/{split}/{task.data.id or index}"
        try:
            system, statement = _prompt(task.data)
            place = first.setdefault(statement, index)
            if not divided and (place % TEST_SHARE == TEST_SHARE - 1) != (split == "test"):
                continue
            contents.questions.append(
                Question(
                    id=question_id,
                    domain=package,
                    kind=AnswerKind.TEXT,
                    statement=statement,
                    answer=_answer(task.data, answer),
                    system=system,
                    subtask=task.data.name or "",
                    verifier=Rewarded(package, told, size, index, threshold),
                )
            )
        except RowError as error:
            contents.refused.append(Refused(question_id, f"task {index}", error.problems))
    return contents


def _prompt(data: Any) -> tuple[str, str]:
    """(system, statement) of a task. Raises RowError for one that does not begin with a single text."""
    system, asked = data.system_prompt or "", data.prompt
    if isinstance(asked, list):
        if asked and asked[0].role == "system":
            system, asked = f"{system}\n\n{_text(asked[0].content)}".strip(), asked[1:]
        if len(asked) != 1 or asked[0].role != "user":
            raise RowError(f"its prompt has {len(asked)} messages; one of the user is needed")
        asked = _text(asked[0].content)
    if not isinstance(asked, str) or not asked.strip():
        raise RowError("its prompt is empty: its user opens the conversation")
    return system, asked


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = [part.text for part in content if isinstance(getattr(part, "text", None), str)]
    if len(parts) < len(content):
        raise RowError("its prompt holds more than text")
    return "\n".join(parts)


def _answer(data: Any, field: str | None) -> str:
    """The right answer that a task's data hold, as text."""
    held = {name: value for name, value in _fields(data) if value not in (None, "")}
    name = field if field is not None else next((name for name in ANSWER_FIELDS if name in held), None)
    if name is None or name not in held:
        raise ConfigurationError(
            f"task data {type(data).__name__} hold no answer in {field or ', '.join(ANSWER_FIELDS)}; name "
            f"the field with answer=..., one of {', '.join(held) or 'none'}"
        )
    value = held[name]
    if isinstance(value, list | tuple) and len(value) == 1:
        (value,) = value
    return value.strip() if isinstance(value, str) else json.dumps(value, default=str)


def _fields(data: Any) -> Iterator[tuple[str, Any]]:
    """What a task's data hold beyond what all tasks have."""
    import verifiers.v1 as vf

    for name in type(data).model_fields.keys() - vf.TaskData.model_fields.keys():
        yield name, getattr(data, name)
    yield from (data.model_extra or {}).items()
