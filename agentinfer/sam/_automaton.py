"""The automaton: compiled where the installation could be, else in plain Python."""

from typing import TYPE_CHECKING

__all__ = ["COMPILED", "Calibration", "Cursor", "SuffixAutomaton"]

if TYPE_CHECKING:
    from agentinfer.sam._plain import Calibration, Cursor, SuffixAutomaton

    COMPILED: bool
    """Whether the compiled path serves."""
else:
    try:
        from agentinfer.sam._compiled import Calibration, Cursor, SuffixAutomaton

        COMPILED = True
    except ImportError:
        from agentinfer.sam._plain import Calibration, Cursor, SuffixAutomaton

        COMPILED = False
