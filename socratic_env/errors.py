"""One named error for each boundary that can be crossed wrongly.

Every message names the thing, the value that was given and the remedy.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from numbers import Integral

from gymnasium.error import ResetNeeded


class SocraticError(Exception):
    """Base of all errors of this package."""


class ConfigurationError(SocraticError, ValueError):
    """An argument of an environment, a teacher or a command cannot be used."""


class QuestionError(SocraticError, ValueError):
    """A question set, a file of questions or one row of it cannot be used."""


class ActionError(SocraticError, TypeError):
    """An action is not text, or a batch has the wrong number of actions."""


class StepError(SocraticError, ResetNeeded):
    """`step` was called before `reset` or after the end of the episode."""


class TrackerError(SocraticError, ValueError):
    """Batch statistics do not fit the environment, are a copy, or contradict themselves."""


class EndpointError(SocraticError):
    """A model behind an endpoint gave no reply. Kept as data."""


class EndpointTimeout(EndpointError):
    """The total deadline of a call has passed."""


class EndpointUnavailable(EndpointError):
    """The endpoint could not be reached, or refused the call, after all retries."""


class EndpointUnusable(EndpointUnavailable):
    """No call can succeed until a setting changes: the key, address, model, proxy or certificates."""


class EndpointContextError(EndpointError):
    """The prompt, with the reply asked for, is longer than what the endpoint's model holds."""


class EndpointReplyError(EndpointError):
    """The endpoint answered, but not with a chat completion."""


class StudentError(SocraticError):
    """A model that is the student gave no reply."""


class StudentContextError(StudentError):
    """A dialogue leaves the student no room for a reply."""


class StudentUnusable(StudentError):
    """No reply will come until a setting changes: the key, address, model, proxy or certificates."""


class TeacherError(SocraticError):
    """A teacher gave no usable guidance. Kept on the episode as data."""


class TeacherTimeout(TeacherError):
    """The total deadline of a teacher's call has passed."""


class TeacherUnavailable(TeacherError):
    """The teacher could not be reached, or refused the call, after all retries."""


class TeacherUnusable(TeacherUnavailable):
    """No guidance will come until a setting changes: the key, address, model, proxy or certificates."""


class TeacherContextError(TeacherError):
    """A dialogue leaves the teacher no room for guidance. It ends the episode as a full context does."""


class TeacherReplyError(TeacherError):
    """The teacher answered, but not with guidance (empty, refusal, malformed)."""


class VerifierError(SocraticError):
    """A verifier gave no verdict, through no fault of the reply. Kept on the episode, which stays open."""


class VerifierUnusable(VerifierError):
    """No verdict will come until a setting changes."""


class VerifierFaultWarning(RuntimeWarning):
    """A verifier gave no verdict; said once for each environment, at its first fault."""


class TeacherFaultWarning(RuntimeWarning):
    """A teacher gave no guidance; said once for each environment, at its first fault."""


class ViewpointLeakWarning(RuntimeWarning):
    """A viewpoint is not shown on a question whose answer it gives away; said once for each environment."""


class QuestionWarning(RuntimeWarning):
    """Rows of somebody else's data set cannot be used and are left out; said once for each load."""


class TeacherDown(SocraticError):
    """Too large a share of a teacher's requests failed. Never kept as data: it stops the run."""


class RecordingError(SocraticError, ValueError):
    """A file of guidance or episodes cannot be read or written, or does not hold what is asked of it."""


class CheckError(SocraticError, AssertionError):
    """A part that a user wrote breaks its contract; the message names the remedy."""


def check_count(name: str, value: object, kind: type[SocraticError] = ConfigurationError) -> None:
    """Refuse a setting that is not a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < 1:
        raise kind(f"{name} is {value!r}; give a whole number of at least 1")


def check_seed(seed: int) -> None:
    """Raise ConfigurationError for a seed that no generator takes."""
    if seed < 0:
        raise ConfigurationError(f"seed is {seed}; give at least 0")


def unknown(
    what: str,
    value: object,
    known: Iterable[str],
    kind: type[SocraticError] = ConfigurationError,
) -> SocraticError:
    """The error for a name that is not one of a known set."""
    names = sorted(known)
    like = difflib.get_close_matches(value, names, n=1) if isinstance(value, str) else []
    meant = f"; did you mean {like[0]!r}?" if like else ""
    return kind(f"unknown {what} {value!r}; use one of: {', '.join(names)}{meant}")
