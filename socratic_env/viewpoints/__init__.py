"""Viewpoints (Socratic-RL): short pieces of knowledge in the student's context, and the base that keeps them."""

from socratic_env.viewpoints.knowledge_base import KnowledgeBase
from socratic_env.viewpoints.triggers import applies, labels
from socratic_env.viewpoints.viewpoint import KINDS, Trace, Utility, Viewpoint

__all__ = ["KINDS", "KnowledgeBase", "Trace", "Utility", "Viewpoint", "applies", "labels"]
