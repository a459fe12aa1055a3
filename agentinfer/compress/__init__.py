"""AgentCompress: what may be forgotten, when, and at what price."""

from agentinfer.compress._events import Compressed, CompressionDropped, CompressionStarted, HitsFiltered, NotesReady
from agentinfer.compress._plugin import Compress
from agentinfer.compress._report import CompressReport, report

__all__ = [
    "Compress",
    "CompressReport",
    "Compressed",
    "CompressionDropped",
    "CompressionStarted",
    "HitsFiltered",
    "NotesReady",
    "report",
]
