"""Conformance checks that users run on their own parts. Each raises CheckError with the remedy.

from socratic_env.checks import check_env, check_questions, check_teacher, check_verifier

check_teacher(MyTeacher())                 # an object, or a spec such as {"kind": "openai", ...}
check_verifier(my_verifier)                # a function (question, text) -> Verdict
check_questions("mine.jsonl")              # whatever `questions=` of an environment takes
check_env("MyOrg/MyTeaching-v0")           # an id, or an environment
"""

from socratic_env.checks.env_check import check_env
from socratic_env.checks.question_set_check import check_questions
from socratic_env.checks.teacher_check import check_teacher
from socratic_env.checks.teaching import CANARY, CANARY_NUMBER
from socratic_env.checks.verifier_check import check_verifier

__all__ = ["CANARY", "CANARY_NUMBER", "check_env", "check_questions", "check_teacher", "check_verifier"]
