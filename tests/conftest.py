"""What all tests share: which of them may use the network, and how long each may take."""

import signal
from pathlib import Path
from typing import Final

import pytest

pytest.register_assert_rewrite("contract", "fault_contract")

_INTEGRATION: Final = Path(__file__).parent / "integration"
_PATIENCE: Final = 900  # seconds; an emulated machine boots slowly beside busy neighbours


def pytest_sessionstart() -> None:
    """Let the processes of the tests be interrupted.

    A shell starts what it runs in the background with SIGINT ignored (POSIX, Shell Command Language
    2.11), and children inherit that, but not a handler.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what lies in `tests/integration`; give sockets and time to what is marked."""
    for item in items:
        if _INTEGRATION in item.path.parents:
            item.add_marker(pytest.mark.integration)
        if item.get_closest_marker("integration"):
            item.add_marker(pytest.mark.enable_socket)
            if not item.get_closest_marker("timeout"):
                item.add_marker(pytest.mark.timeout(_PATIENCE))
