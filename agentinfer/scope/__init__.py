"""SCOPE: guidelines that evolve from runs, and have to earn their place (after arXiv 2512.15374)."""

from agentinfer.scope._accept import AcceptPolicy
from agentinfer.scope._deltas import Add, Change, Delta, Merge, Move, Put, Snapshot, Support, diff, state_at, undo
from agentinfer.scope._events import (
    GuidelineLearned,
    GuidelineMoved,
    GuidelineRejected,
    GuidelinesGiven,
    LearningSkipped,
    StoreDamaged,
)
from agentinfer.scope._exchange import Imported, dump_guidelines, read_guidelines
from agentinfer.scope._explore import Exploration, Marks, summarise_marks
from agentinfer.scope._guideline import DOMAINS, Guideline, Source, Space
from agentinfer.scope._perspective import EFFICIENCY, THOROUGHNESS, Perspective
from agentinfer.scope._playbook import Playbook
from agentinfer.scope._plugin import Scope
from agentinfer.scope._sqlite import SqliteStore
from agentinfer.scope._state import own_outcome
from agentinfer.scope._store import MemoryStore, Outcome, Store, StoreError
from agentinfer.scope._trial import Evidence, TrialPolicy, Verdict, judge

__all__ = [
    "DOMAINS",
    "EFFICIENCY",
    "THOROUGHNESS",
    "AcceptPolicy",
    "Add",
    "Change",
    "Delta",
    "Evidence",
    "Exploration",
    "Guideline",
    "GuidelineLearned",
    "GuidelineMoved",
    "GuidelineRejected",
    "GuidelinesGiven",
    "Imported",
    "LearningSkipped",
    "Marks",
    "MemoryStore",
    "Merge",
    "Move",
    "Outcome",
    "Perspective",
    "Playbook",
    "Put",
    "Scope",
    "Snapshot",
    "Source",
    "Space",
    "SqliteStore",
    "Store",
    "StoreDamaged",
    "StoreError",
    "Support",
    "TrialPolicy",
    "Verdict",
    "diff",
    "dump_guidelines",
    "judge",
    "own_outcome",
    "read_guidelines",
    "state_at",
    "summarise_marks",
    "undo",
]
