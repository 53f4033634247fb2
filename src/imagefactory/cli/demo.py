"""The main job on real parts, as `make run` shows it: build, boot and push the example template."""

import argparse
import json
import secrets
import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx2

from imagefactory.cli.boot import report_of
from imagefactory.cli.oauth import OAuth
from imagefactory.core.config import Config
from imagefactory.core.errors import BuildError, Cancelled, FactoryError
from imagefactory.core.secret import Secret
from imagefactory.engine.command import Cancellation, Tools
from imagefactory.engine.files import write_atomically
from imagefactory.engine.packages.apt_sources import machine_mirrors
from imagefactory.web import tls

_TEMPLATE: Final = Path("examples/debian.tdl")
_STATE: Final = Path(".cache/run")
_LOOPBACK: Final = "127.0.0.1"
_PERIOD: Final = 0.25  # seconds between questions to the daemon
_DAEMON_START: Final = 60  # seconds


@dataclass(frozen=True, kw_only=True)
class Client:
    """A user of the REST API that waits for what it asked for."""

    http: httpx2.Client

    def make(self, noun: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """POST, then follow the image until it is whole; `BuildError` when it fails."""
        started = time.monotonic()
        image = self._answer(self.http.post(f"/{noun}s", json={noun: fields}), noun)
        _say(f"{noun} {image['id']}")
        last = ""
        while image["status"] not in {"COMPLETE", "FAILED"}:
            activity = f"{image['percent_complete']:3d} %  {image['status_detail']['activity']}"
            if activity[6:] != last[6:]:
                _say(f"  {time.monotonic() - started:6.1f} s  {activity}")
            last = activity
            time.sleep(_PERIOD)
            image = self._answer(self.http.get(f"/{noun}s/{image['id']}"), noun)
        if image["status"] == "FAILED":
            msg = f'The {noun} "{image["id"]}" failed: {image["status_detail"]["error"]}'
            raise BuildError(msg)
        _say(f"  {time.monotonic() - started:6.1f} s  100 %  {image['status_detail']['activity']}")
        return image

    @staticmethod
    def _answer(response: httpx2.Response, noun: str) -> dict[str, Any]:
        if response.is_error:
            msg = f'The daemon answered "{response.status_code}": {response.text}'
            raise BuildError(msg)
        answer: dict[str, Any] = response.json()[noun]
        return answer


def main(argv: Sequence[str] | None = None) -> int:
    """The program; returns its exit status."""
    parser = argparse.ArgumentParser(prog="make run", description=__doc__)
    parser.add_argument("--once", action="store_true", help="stop the daemon at the end")
    parser.add_argument("--state", type=Path, default=_STATE)
    parser.add_argument("--template", type=Path, default=_TEMPLATE)
    options = parser.parse_args(argv)
    try:
        _run(options.state.absolute(), options.template, once=options.once)
    except FactoryError as error:
        hint = f"\n  {error.hint}" if error.hint else ""
        sys.stderr.write(f"make run: {error}{hint}\n")
        return 1
    except KeyboardInterrupt:
        _say("stopped")
    return 0


def _run(state: Path, template: Path, *, once: bool) -> None:
    started = time.monotonic()
    with _daemon(state) as client:
        base = client.make(
            "base_image",
            # The target image, which is the same disk, is booted below: once is enough here.
            {"template": template.read_text(), "parameters": {"boot_test": False}},
        )
        target = client.make(
            "target_image",
            {"target": "local", "base_image_id": base["id"], "parameters": {"format": "qcow2"}},
        )
        body = Config(state=state).storage / f"{target['id']}.body"
        screenshot = state / "boot.png"
        _say(f"boot {body}")
        boot = report_of(body, scratch=state / "scratch", screenshot=screenshot, timeout=600)
        _say(f"  {boot.up:6.1f} s  the system is up ({boot.accelerator}, {boot.firmware})")
        provider = client.make(
            "provider_image",
            {
                "target": "local",
                "provider": "local",
                "credentials": "none",
                "target_image_id": target["id"],
            },
        )
        _say("")
        _show("base image", base["href"])
        _show("target image", target["href"])
        _show("provider image", provider["href"])
        _show("disk (qcow2)", str(body))
        _show("pushed to", provider["identifier_on_provider"])
        _show("log, lock, bill", str(state / "artifacts" / base["id"]))
        _show("screenshot", str(screenshot))
        _show("time, all", f"{time.monotonic() - started:.1f} s")
        _show("API", str(client.http.base_url))
        if not once:
            _say("\nThe daemon runs until Ctrl-C.")
            threading.Event().wait()


@contextmanager
def _daemon(state: Path) -> Iterator[Client]:
    """The daemon on a loopback port, with this machine's own mirrors; it is stopped at the end."""
    state.mkdir(parents=True, exist_ok=True)
    state.chmod(0o711)
    port, key, secret = _port(), "make-run", secrets.token_urlsafe(32)
    config = state / "imagefactory.conf"
    content = {"state": str(state), "address": _LOOPBACK, "port": port}
    content |= {"mirrors": machine_mirrors()}
    content |= {"clients": {key: secret}}
    write_atomically(config, json.dumps(content, indent=1) + "\n", mode=0o600)
    certificate = tls.certificate_file(Config(state=state, address=_LOOPBACK))
    cancellation, log = Cancellation(), state / "daemon.log"
    with log.open("a", buffering=1) as stream:

        def write(line: str) -> None:
            stream.write(f"{line}\n")

        tools = Tools(log=write, cancellation=cancellation)
        thread = threading.Thread(target=_serve, args=(tools, config), name="daemon")
        thread.start()
        try:
            with httpx2.Client(
                base_url=f"https://{_LOOPBACK}:{port}/imagefactory",
                auth=OAuth(key, Secret(secret)),
                verify=ssl.create_default_context(cafile=certificate),
                timeout=60,
                trust_env=False,
            ) as http:
                _wait_for(http, thread, log)
                _say(f"daemon {http.base_url}, log {log}, OAuth client in {config}")
                yield Client(http=http)
        finally:
            cancellation.request()
            thread.join()


def _serve(tools: Tools, config: Path) -> None:
    try:
        daemon = [sys.executable, "-m", "imagefactory.daemon", "--foreground", "--verbose"]
        tools.run([*daemon, "--config", config], quiet=False)
    except Cancelled:
        return


def _wait_for(http: httpx2.Client, thread: threading.Thread, log: Path) -> None:
    end = time.monotonic() + _DAEMON_START
    while thread.is_alive() and time.monotonic() < end:
        try:
            http.get("")
        except httpx2.ConnectError:
            time.sleep(0.1)
        else:
            return
    last = log.read_text().splitlines()[-1:] or ["nothing"]
    msg = f'The daemon did not start; it said last: "{last[0]}"'
    raise BuildError(msg)


def _port() -> int:
    """The documented port when it is free, else any."""
    for port in (8075, 0):
        with socket.socket() as probe:
            try:
                probe.bind((_LOOPBACK, port))
            except OSError:
                continue
            chosen: int = probe.getsockname()[1]
            return chosen
    msg = "No port is free on the loopback address"
    raise BuildError(msg)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _show(label: str, value: str) -> None:
    _say(f"{label:16} {value}")


if __name__ == "__main__":
    sys.exit(main())
