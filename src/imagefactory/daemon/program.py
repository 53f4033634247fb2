"""The program `imagefactoryd`: serves the API, with a worker beside it, until it is told to stop."""

import argparse
import gc
import ipaddress
import logging
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn

from imagefactory import __version__
from imagefactory.builds import program_log, settings
from imagefactory.builds.factory import open_factory
from imagefactory.core.config import Config
from imagefactory.core.errors import ConfigError, FactoryError
from imagefactory.daemon.background import Ready, detached, leave_terminal, pid_in
from imagefactory.daemon.notify import notify
from imagefactory.daemon.supervisor import Supervisor
from imagefactory.store.nonces import Nonces
from imagefactory.web import clients, server, tls
from imagefactory.web.app import make_app

log = logging.getLogger(__name__)

_BACKLOG: Final = 128


class Reach(StrEnum):
    """Who can connect, in the words of the log."""

    LOOPBACK = "this machine only"
    ONE = "whoever reaches that address"
    ALL = "whoever reaches any address of this machine"


def main(argv: Sequence[str] | None = None) -> int:
    """The program; returns its exit status."""
    try:
        options = vars(_parser().parse_args(argv))
        config = settings.load(file=options.pop("config"), flags=options)
        if config.foreground:
            serve(config, ready=_nobody_waits, set_up_log=_log_to(config, None))
            return 0
        return detached(partial(_serve_detached, config), explain=_explained)
    except FactoryError as error:
        sys.stderr.write(_explained(error))
        return 1


def serve(config: Config, *, ready: Ready, set_up_log: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT; `ready` is called when clients can connect.

    Builds that are under way then are stopped after what they have recorded, and resumed by the next
    start. So they are after any other end of the process.
    """
    _mind_signals()
    set_up_log()
    for note in config.ignored:
        log.warning("%s", note)
    with ExitStack() as stack:
        certificate = None if config.no_ssl else tls.certificate_file(config)
        consumers = {} if config.no_oauth else clients.load(config)
        listener = stack.enter_context(_listening(config))
        factory = stack.enter_context(open_factory(config, stocked=False))
        nonces = stack.enter_context(Nonces.open(config.state / "nonces.db"))
        # What the first answer need not wait for: a thread that worked already would hold it up.
        begun = threading.Event()
        later = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="later"))
        stack.callback(begun.set)
        later.submit(begun.wait)
        stock: Future[None] = later.submit(factory.workshop.take_stock)
        stock.add_done_callback(_tell)
        later.submit(factory.workshop.work.counts).add_done_callback(
            _tell
        )  # the first look connects
        app = make_app(factory, clients=consumers, nonces=nonces, stock=stock)
        worker = Supervisor(config, set_up_log=set_up_log)
        stack.callback(worker.stop)
        worker.start()
        _announce(config, listener, certificate)
        ready()
        notify("READY=1")
        stack.callback(notify, "STOPPING=1")
        gc.freeze()  # or a request would now and then wait while the application is looked through
        gc.enable()
        server.serve(
            app,
            listener,
            certificate=certificate,
            patience=config.request_timeout,
            begun=begun.set,
        )


def _serve_detached(config: Config, ready: Ready) -> None:
    file = program_log.log_file(config, "imagefactoryd.log")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        leave_terminal(debug_folder=file.parent if config.debug else None)
        with pid_in(program_log.pid_file(config)):
            serve(config, ready=ready, set_up_log=_log_to(config, file))
    except OSError as error:
        msg = f'The file "{error.filename}" cannot be written: {error.strerror}'
        raise ConfigError(msg, hint="Choose another folder with --state") from error


def _log_to(config: Config, file: Path | None) -> Callable[[], None]:
    """What sets up the log of a process of the daemon's; a process that is spawned can be given it."""
    return partial(program_log.start, verbose=config.verbose, debug=config.debug, file=file)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="imagefactoryd", description="Serves the API of Image Factory, and builds."
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("--config", type=Path, metavar="FILE", help="configuration file")
    options: tuple[tuple[str, dict[str, Any]], ...] = (
        ("--state", {"metavar": "DIR", "help": "folder for everything that is kept"}),
        ("--tmpdir", {"metavar": "DIR", "help": "folder for temporary files"}),
        ("--imgdir", {"metavar": "DIR", "help": "accepted, and of no use any more"}),
        ("--plugins", {"metavar": "DIR", "help": "accepted, and of no use any more"}),
        ("--timeout", {"type": int, "metavar": "SECONDS", "help": "limit for one tool"}),
        ("--ec2-32bit-util", {"metavar": "TYPE", "help": "EC2's instances for 32-bit images"}),
        ("--ec2-64bit-util", {"metavar": "TYPE", "help": "EC2's instances for 64-bit images"}),
        ("--address", {"help": "address to listen on, default 0.0.0.0: all of IPv4"}),
        ("--port", {"type": int, "help": "port to listen on, default 8075; 0 takes a free one"}),
        ("--ssl_pem", {"metavar": "FILE", "help": "key and certificates for TLS, in PEM"}),
        ("--no_ssl", {"action": "store_true", "help": "serve without TLS"}),
        ("--no_oauth", {"action": "store_true", "help": "take requests without a signature"}),
        ("--open_reads", {"action": "store_true", "help": "take GETs without a signature"}),
        (
            "--secondary",
            {"action": "store_true", "help": "refused: there are no secondary factories"},
        ),
        ("--foreground", {"action": "store_true", "help": "stay at the terminal, and log there"}),
        ("--verbose", {"action": "store_true", "help": "log what is being built"}),
        ("--debug", {"action": "store_true", "help": "log everything"}),
        ("--nodebug", {"dest": "debug", "action": "store_false", "help": "log little"}),
    )
    for name, how in options:
        parser.add_argument(name, default=None, **how)
    return parser


def _explained(error: FactoryError) -> str:
    hint = f" ({error.hint})" if error.hint else ""
    return f"imagefactoryd: {error}{hint}\n"


def _nobody_waits() -> None:
    pass


def _mind_signals() -> None:
    """End in good order when we are told to, also before and after the server minds that itself."""

    def stop(_number: int, _frame: object) -> NoReturn:
        sys.exit(0)

    def ignore(_number: int, _frame: object) -> None:
        pass

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    for number in (signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, ignore)


def _tell(done: Future[Any]) -> None:
    """Log what has gone wrong; with the store, requests are told too."""
    if (error := done.exception()) is not None:
        log.error("%s", error)


def _announce(config: Config, listener: socket.socket, certificate: Path | None) -> None:
    scheme = "http" if certificate is None else "https"
    host = f"[{config.address}]" if ":" in config.address else config.address
    port, reach = listener.getsockname()[1], reach_of(config.address)
    log.info("Serving %s://%s:%s/imagefactory to %s", scheme, host, port, reach)
    if certificate is not None:
        log.info("The certificate has the SHA-256 fingerprint %s", tls.fingerprint(certificate))
    if reach is Reach.LOOPBACK:
        return
    # Both were asked for, and a proxy may do either's work: a word has to be enough.
    if config.no_oauth:
        log.warning("Without OAuth anybody who reaches %s can build and delete images", host)
    if config.no_ssl:
        log.warning("Without TLS credentials reach %s in clear text", host)


def reach_of(address: str) -> Reach:
    """Who can connect to a listener on this address."""
    try:
        listening = ipaddress.ip_address(address)
    except ValueError:
        return Reach.LOOPBACK if address == "localhost" else Reach.ONE
    if listening.is_loopback:
        return Reach.LOOPBACK
    return Reach.ALL if listening.is_unspecified else Reach.ONE


def _listening(config: Config) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((config.address, config.port))
        listener.listen(_BACKLOG)
    except (OSError, OverflowError) as error:
        listener.close()
        reason = error.strerror if isinstance(error, OSError) else "there is no such port"
        msg = f'Cannot listen on "{config.address}" port "{config.port}": {reason}'
        raise ConfigError(msg, hint="Choose another with --port") from error
    return listener
