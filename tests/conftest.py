"""What all tests share: which of them may use the network, and how long each may take."""

import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

pytest.register_assert_rewrite("contract", "fault_contract")

# How long a single example takes says how busy the machine is; a test as a whole has its limit of time.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

_INTEGRATION: Final = Path(__file__).parent / "integration"
_PATIENCE: Final = 900  # seconds; an emulated machine boots slowly beside busy neighbours


def pytest_sessionstart() -> None:
    """Let the processes of the tests be interrupted.

    A shell starts what it runs in the background with SIGINT ignored (POSIX, Shell Command Language
    2.11), and children inherit that, but not a handler.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _temporary_folder() -> Iterator[None]:
    """Give each test process a folder for temporary files: what one leaves is not laid at another's door."""
    usual = tempfile.gettempdir()
    folder = tempfile.mkdtemp(prefix="test-")
    Path(folder).chmod(0o1777)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(
            "PYTEST_DEBUG_TEMPROOT", usual
        )  # pytest's own folders stay where they are kept
        patch.setenv("TMPDIR", folder)
        patch.setattr(tempfile, "tempdir", folder)
        yield
    shutil.rmtree(folder)


class _Groups(LoadScopeScheduling):  # type: ignore[misc] # it comes without types
    """Says which tests run in one process, where two share the work.

    What is built for real shares a factory and its caches, so all of it is one group; the servers are another, and of
    the rest each file is one.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        folder = file.split("/")[1]
        return folder if folder in {"integration", "servers"} else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> _Groups:
    """Share the work by groups."""
    return _Groups(config, log)


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
