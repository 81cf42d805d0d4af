"""Procedural questions. Importing this package registers every template file below it."""

from importlib import import_module
from pkgutil import walk_packages

from socratic_env.questions.procedural.sets import ProceduralSet
from socratic_env.questions.procedural.template import TEMPLATES

__all__ = ["TEMPLATES", "ProceduralSet"]

for _module in walk_packages(__path__, prefix=f"{__name__}."):
    import_module(_module.name)
