"""The daemon `imagefactoryd`: serves the API, and keeps a worker alive beside it."""

import argparse
import ipaddress
import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from multiprocessing.connection import wait
from pathlib import Path
from types import FrameType

from imagefactory import __version__
from imagefactory.builds import settings
from imagefactory.builds.factory import open_factory
from imagefactory.core.config import Config
from imagefactory.core.errors import ConfigError, FactoryError
from imagefactory.web import clients, server, tls
from imagefactory.web.app import make_app

log = logging.getLogger(__name__)

_BACKLOG = 128
_RESTART_DELAY = 1.0  # seconds; a worker that cannot start must not spin


def main(argv: Sequence[str] | None = None) -> int:
    """The program; returns its exit status."""
    try:
        options = vars(_parser().parse_args(argv))
        config = settings.load(file=options.pop("config"), flags=options)
        serve(config)
    except FactoryError as error:
        hint = f" ({error.hint})" if error.hint else ""
        sys.stderr.write(f"imagefactoryd: {error}{hint}\n")
        return 1
    return 0


def serve(config: Config) -> None:
    """Serve until SIGTERM or SIGINT."""
    logging.basicConfig(
        level=logging.DEBUG if config.debug else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s thread(%(threadName)s) Message: %(message)s",
    )
    for name in ("httpx2", "httpcore2", "alembic", "dbos"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # What these tell of a request that they refuse may have come from a form: passwords, too.
    for name in ("oauthlib", "python_multipart"):
        logging.getLogger(name).setLevel(logging.ERROR)
    certificate = None if config.no_ssl else tls.certificate_file(config)
    consumers = {} if config.no_oauth else clients.load(config)
    listener = _listen(config)
    worker = Supervisor(config)
    try:
        with open_factory(config) as factory:
            app = make_app(factory, clients=consumers)
            worker.start()
            _announce(config, listener, certificate)
            server.serve(app, listener, certificate=certificate, patience=config.request_timeout)
    finally:
        worker.stop()
        listener.close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="imagefactoryd", description=__doc__)
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("--config", type=Path, metavar="FILE", help="configuration file")
    parser.add_argument("--state", metavar="DIR", help="folder for everything that is kept")
    parser.add_argument("--address", help="address to listen on, default 127.0.0.1")
    parser.add_argument(
        "--port", type=int, help="port to listen on, default 8075; 0 takes a free one"
    )
    parser.add_argument("--tmpdir", metavar="DIR", help="folder for temporary files")
    parser.add_argument("--timeout", type=int, metavar="SECONDS", help="limit for one tool")
    parser.add_argument("--ssl_pem", metavar="FILE", help="key and certificates for TLS, in PEM")
    for flag in ("foreground", "verbose", "debug", "no_ssl", "no_oauth", "open_reads"):
        parser.add_argument(f"--{flag}", action="store_true", default=None)
    return parser


def _announce(config: Config, listener: socket.socket, certificate: Path | None) -> None:
    scheme = "http" if certificate is None else "https"
    host = f"[{config.address}]" if ":" in config.address else config.address
    log.info("Serving %s://%s:%s/imagefactory", scheme, host, listener.getsockname()[1])
    if certificate is not None:
        log.info("The certificate has the SHA-256 fingerprint %s", tls.fingerprint(certificate))
    if _is_loopback(config.address):
        return
    # Both were asked for, and a proxy may do either's work: a word has to be enough.
    if config.no_oauth:
        log.warning("Without OAuth anybody who reaches %s can build and delete images", host)
    if config.no_ssl:
        log.warning("Without TLS credentials reach %s in clear text", host)


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def _listen(config: Config) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((config.address, config.port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        msg = f'Cannot listen on "{config.address}" port "{config.port}": {error.strerror}'
        raise ConfigError(msg, hint="Choose another with --port") from error
    return listener


class Supervisor:
    """Keeps one worker process running; a worker that dies is started again and resumes its builds."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._stop = threading.Event()
        self._context = multiprocessing.get_context("spawn")
        self._process: multiprocessing.process.BaseProcess | None = None
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def start(self) -> None:
        """Start the worker, and watch it from a thread."""
        self._spawn()
        self._thread.start()

    def stop(self) -> None:
        """Stop the worker; what it was doing is resumed when the daemon starts again."""
        self._stop.set()
        if self._process is None or self._process.pid is None:
            return
        self._process.terminate()
        self._process.join(10)
        self._process.kill()
        self._process.join()

    def _spawn(self) -> None:
        self._process = self._context.Process(target=_work, args=(self._config,), name="worker")
        self._process.start()

    def _watch(self) -> None:
        while self._process is not None:
            self._process.join()
            if self._stop.wait(_RESTART_DELAY):
                return
            log.warning(
                "The worker ended with status %s and is started again", self._process.exitcode
            )
            self._spawn()


def _work(config: Config) -> None:
    """The worker process; it ends with the daemon, however that ends."""
    from imagefactory.builds.worker import run_worker  # noqa: PLC0415 - the daemon need not load it

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_die_with, args=(parent.sentinel,), daemon=True).start()
    run_worker(config, executor="local", stop=stop)


def _die_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
