"""The API over very many images: how long 50 clients wait, and what the daemon takes for it."""

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final
from urllib.error import URLError
from urllib.request import urlopen

from benchmarks import records, results, tables
from benchmarks.polling import Load
from benchmarks.records import Records
from benchmarks.served import Served

_ROOT: Final = Path(__file__).resolve().parent.parent
_EXAMPLE: Final = _ROOT / "examples" / "debian.tdl"
_IMAGES: Final = 100_000
_CLIENTS: Final = 50
_RATE: Final = 100  #: requests in a second: each client asks every half second
_PACED: Final = 40  #: requests of a client at that rate
_CLOSED: Final = 60  #: requests of a client that asks again at once
_KEY, _SECRET = "benchmark", "a-secret-of-the-benchmark"


@dataclass(frozen=True, kw_only=True)
class Daemon:
    """A daemon that answers, and how long it took until it did."""

    process: subprocess.Popen[bytes]
    port: int
    seconds: float

    @property
    def cpu(self) -> float:
        """Seconds of processor that it has taken."""
        words = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def peak(self) -> int:
        """The most bytes of memory that it has had."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def measure(runs: int) -> None:
    """Ask, start and scan, and keep the figures."""
    machine = results.machine()
    state = Path(tempfile.mkdtemp(prefix="imagefactory-bench-"))
    try:
        written = records.write(state, _IMAGES, template=_EXAMPLE.read_text())
        with _daemon(written.state):
            pass  # whoever installs the program has its modules compiled; so have these been now
        starts = []
        for _ in range(runs):
            with _daemon(written.state) as daemon:
                starts.append(daemon.seconds)
        with _daemon(written.state) as daemon:
            time.sleep(5)  # its worker starts beside it, and takes a core for that
            served = [
                _served(daemon, written, request=request, pace=pace)
                for pace in (f"{_RATE}/s", "at once")
                for request in ("detail", "list")
            ]
            peak = daemon.peak
        scanned = _scanned(written)
    finally:
        shutil.rmtree(state)
    program = {"start": sorted(starts)[runs // 2], "peak": peak, "help": _help()}
    results.keep(
        "api",
        {
            "machine": machine,
            "images": _IMAGES,
            "clients": _CLIENTS,
            **program,
            "served": [asdict(one) for one in served],
            "scanned": scanned,
        },
        text=tables.of_requests(served, scanned=scanned) + "\n" + tables.of_program(**program),
    )


def _served(daemon: Daemon, written: Records, *, request: str, pace: str) -> Served:
    paced = pace != "at once"
    load = Load(
        port=daemon.port,
        certificate=str(written.state / "tls.pem"),
        key=_KEY,
        secret=_SECRET,
        paths=written.paths if request == "detail" else ["/imagefactory/base_images?limit=100"],
        clients=_CLIENTS,
        requests=_PACED if paced else _CLOSED,
        pause=_CLIENTS / _RATE if paced else 0,
    )
    before = daemon.cpu
    heard = _polled(load)
    waits = heard["waits"]
    return Served(
        request=request,
        pace=pace,
        rate=len(waits) / heard["seconds"],
        median=waits[len(waits) // 2],
        p99=waits[len(waits) * 99 // 100],
        worst=waits[-1],
        server_cpu=(daemon.cpu - before) / len(waits),
        client_cpu=heard["cpu"] / len(waits),
    )


def _polled(load: Load) -> dict[str, Any]:
    program = [sys.executable, "-m", "benchmarks.polling"]
    told = json.dumps(asdict(load)).encode()
    heard: dict[str, Any] = json.loads(
        subprocess.run(program, input=told, stdout=subprocess.PIPE, check=True).stdout
    )
    return heard


@contextmanager
def _daemon(state: Path) -> Iterator[Daemon]:
    """A daemon as it comes, with TLS and OAuth, on this folder."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    config = state / "imagefactory.conf"
    settings = {"state": str(state), "address": "127.0.0.1", "port": port}
    config.write_text(json.dumps({**settings, "clients": {_KEY: _SECRET}}))
    program = [sys.executable, "-m", "imagefactory.daemon", "--foreground", "--config", str(config)]
    with (state / "log").open("ab") as log:
        began = time.perf_counter()
        process = subprocess.Popen(program, stderr=log, env=_environment())
        try:
            while not _answers(port, state / "tls.pem"):
                if process.poll() is not None:
                    raise SystemExit((state / "log").read_text())
                time.sleep(0.005)
            yield Daemon(process=process, port=port, seconds=time.perf_counter() - began)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


def _environment() -> dict[str, str]:
    """That of a program which may keep its modules compiled."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def _answers(port: int, certificate: Path) -> bool:
    try:
        trust = ssl.create_default_context(cafile=certificate)
        with urlopen(f"https://127.0.0.1:{port}/healthz", context=trust, timeout=30):
            return True
    except (FileNotFoundError, URLError):
        return False


def _scanned(written: Records) -> Mapping[str, float]:
    """Seconds of the original's way, for one client and nobody else."""
    storage = written.state / "storage"
    return {
        "list": _timed(lambda: records.scan(storage, type="BaseImage")),
        "detail": _timed(
            lambda: records.scan(storage, type="TargetImage", base_image_id=written.bases[0])
        ),
    }


def _help() -> float:
    """Seconds of `imagefactory --help`, the median."""
    program = [sys.executable, "-m", "imagefactory.cli.main", "--help"]
    runs = [
        _timed(
            lambda: subprocess.run(
                program, stdout=subprocess.DEVNULL, env=_environment(), check=True
            )
        )
        for _ in range(5)
    ]
    return sorted(runs)[len(runs) // 2]


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
