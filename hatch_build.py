"""Compiles agentinfer/sam/_compiled.c where there is a compiler; without one the plain-Python path serves."""

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from setuptools import Distribution, Extension

NAME = "agentinfer.sam._compiled"
SOURCE = "agentinfer/sam/_compiled.c"


class CompiledPath(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the compiled module to a wheel, or to the checkout of an editable install."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile; a failure is told of, and leaves a wheel without the module."""
        self.folder = tempfile.mkdtemp()
        try:
            built = compile_into(self.folder, Path(self.root, SOURCE))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a compiler does, the install succeeds
            print(f"agentinfer.sam is not compiled, its plain-Python path serves: {error}", file=sys.stderr)  # noqa: T201
            return
        if version == "editable":
            shutil.copy(built, Path(self.root, SOURCE).parent)
        else:
            build_data["force_include"][str(built)] = f"agentinfer/sam/{built.name}"
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Clean up."""
        shutil.rmtree(self.folder, ignore_errors=True)


def compile_into(folder: str, source: Path) -> Path:
    """Compile the module; where it is.

    Raises:
        Exception: There is no compiler, or it fails.
    """
    flags = [] if sys.platform == "win32" else ["-O2", "-ffp-contract=off"]  # the same sums as Python's
    extension = Extension(NAME, [str(source)], extra_compile_args=flags)
    command = Distribution({"name": "agentinfer", "ext_modules": [extension]}).get_command_obj("build_ext")
    command.build_lib = command.build_temp = folder
    command.ensure_finalized()
    command.run()
    return Path(command.get_ext_fullpath(NAME))
