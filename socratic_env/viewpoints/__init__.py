"""Viewpoints (Socratic-RL): short pieces of knowledge in the student's context, and the base of them all."""

from socratic_env.viewpoints.diversity import diversity
from socratic_env.viewpoints.in_context import (
    InContext,
    Viewpoints,
    leaking,
    relevant,
    veto_leaks,
    viewpoints_in,
    viewpoints_of,
    with_viewpoints,
)
from socratic_env.viewpoints.knowledge_base import KnowledgeBase
from socratic_env.viewpoints.triggers import applies, labels
from socratic_env.viewpoints.viewpoint import KINDS, Trace, Utility, Viewpoint

__all__ = [
    "KINDS",
    "InContext",
    "KnowledgeBase",
    "Trace",
    "Utility",
    "Viewpoint",
    "Viewpoints",
    "applies",
    "diversity",
    "labels",
    "leaking",
    "relevant",
    "veto_leaks",
    "viewpoints_in",
    "viewpoints_of",
    "with_viewpoints",
]
