"""What all tests share: which of them may use the network, and how long each may take."""

from pathlib import Path
from typing import Final

import pytest

pytest.register_assert_rewrite("contract", "fault_contract")

_INTEGRATION: Final = Path(__file__).parent / "integration"
_PATIENCE: Final = 900  # seconds; an emulated machine boots slowly beside busy neighbours


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
