import importlib
from types import ModuleType

import pytest


@pytest.fixture(params=["_plain", "_compiled"])
def path(request: pytest.FixtureRequest) -> ModuleType:
    """The plain-Python path and, where this installation has it, the compiled one."""
    try:
        return importlib.import_module(f"agentinfer.sam.{request.param}")
    except ImportError:
        pytest.skip("not compiled here")
