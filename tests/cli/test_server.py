"""The same commands with a daemon and without one: the same outputs, and the same exit statuses."""

import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from fakes import patient
from fakes.daemon import Daemon, a_daemon
from fakes.patience import until
from fakes.program import Outcome, Run, started
from imagefactory.web import tls

TESTS: Final = Path(__file__).parent.parent

pytestmark = pytest.mark.integration

_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[T ][\d:.]+(?:\+00:00|Z)?")
#: where a body or an artifact lies: a path here, an address there
_PLACE: Final = re.compile(
    r'(?:https://127.0.0.1:\d+|/)[^\s"]*/(?:raw_image|[\w-]+\.body|log|provenance\.json)\b'
)
CLIENT: Final = {"robot": "a long secret of the tests"}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with a_daemon(tmp_path_factory.mktemp("daemon"), clients=CLIENT) as daemon:
        yield daemon


@pytest.fixture
def client(tmp_path: Path) -> Path:
    """A file with the client's key and secret."""
    path = tmp_path / "client.json"
    path.write_text(json.dumps({"clients": CLIENT}))
    path.chmod(0o600)
    return path


@pytest.fixture
def served(run: Run, daemon: Daemon, client: Path) -> Run:
    """Runs a command line that asks the daemon."""

    def served(*argv: str | Path) -> Outcome:
        return run(*argv, "--server", daemon.url, "--ca", daemon.certificate, "--client", client)

    return served


def plain(outcome: Outcome) -> Outcome:
    """What is left when ids are numbered, and times and places are all alike."""
    known: dict[str, str] = {}

    def same(text: str) -> str:
        text = _PLACE.sub("PLACE", text)
        text = _UUID.sub(lambda found: known.setdefault(found[0], f"id-{len(known) + 1}"), text)
        text = re.sub(r'"id": \d+', '"id": N', text)
        return _TIME.sub("TIME", text)

    return replace(outcome, out=same(outcome.out), err=same(outcome.err))


def made(outcome: Outcome) -> str:
    found = re.search(r"UUID: (.*)", outcome.out)
    assert found, outcome
    return found[1]


def both(run: Run, served: Run, *argv: str | Path, ids: tuple[str, str] | None = None) -> Outcome:
    """The outcome of a command, which is the same here and there; "ID" stands for either's image."""
    here, there = (
        each(*[word if word != "ID" else pair for word in argv])
        for each, pair in zip((run, served), ids or ("", ""), strict=True)
    )
    assert plain(there) == plain(here)
    return there


def test_a_cascade_and_all_that_is_told_of_it(
    run: Run, served: Run, mock_template: Path, tmp_path: Path
) -> None:
    here, there = run("base_image", mock_template), served("base_image", mock_template)
    assert plain(there) == plain(here)
    assert there.status == 0
    assert there.out.endswith("/raw_image\nImage build completed SUCCESSFULLY!\n")
    base = made(here), made(there)
    here, there = (
        each("target_image", "mock", "--id", image, "--parameter", "key", "value")
        for each, image in zip((run, served), base, strict=True)
    )
    assert plain(there) == plain(here)
    target = made(here), made(there)
    secret = tmp_path / "credentials"
    secret.write_text("open sesame")
    here, there = (
        each("provider_image", "mock", "@somewhere", secret, "--id", image, "--output", "json")
        for each, image in zip((run, served), target, strict=True)
    )
    assert plain(there) == plain(here)
    provider = json.loads(here.out)["identifier"], json.loads(there.out)["identifier"]

    for ids in (base, target, provider):
        spec = tuple(json.dumps({"identifier": one}) for one in ids)
        both(run, served, "images", "ID", "--output", "json", ids=(spec[0], spec[1]))
        both(run, served, "events", "ID", ids=ids)
    for words in ("log ID", "log ID --follow --output json", "events ID --follow --output json"):
        both(run, served, *words.split(), ids=target)
    for words in ("artifacts ID", "artifacts ID --output json", "artifacts ID log"):
        both(run, served, *words.split(), ids=target)
    for words in ("artifacts ID nosuch", "retry ID", "cancel ID"):
        assert both(run, served, *words.split(), ids=target).status == 1
    here, there = (
        each("diff", *pair) for each, *pair in zip((run, served), base, target, strict=True)
    )
    assert plain(there) == plain(here)
    assert there.out.startswith("~ size ")
    both(run, served, "images")
    both(run, served, "images", '{"type": "TargetImage", "status": "COMPLETE"}', "--output", "json")
    both(run, served, "images", '{"status": "FAILED"}', "--output", "json")
    both(run, served, "events")
    for ids in (provider, target, base):
        assert both(run, served, "delete", "ID", ids=ids).out.startswith("Deleting image with id ")
        assert both(run, served, "delete", "ID", ids=ids).out.startswith("No image found with id: ")


def test_what_fails_here_fails_there(
    run: Run, served: Run, mock_template: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.tdl"
    broken.write_text("<template><name>x</name></template>")
    failed = both(run, served, "base_image", broken)
    assert failed.status == 1
    assert failed.out.startswith("\nImage build FAILED with error: ")
    both(run, served, "base_image", broken, "--output", "json")
    both(run, served, "base_image", broken, "--parameters", _parameters(tmp_path, strict=True))
    both(run, served, "target_image", "nosuch", "--template", mock_template)
    both(run, served, "target_image", "mock", "--id", "nosuch")
    both(run, served, "base_image", mock_template, "--lock", broken, "--output", "json")
    assert both(run, served, "template", "check", broken).status == 2
    assert both(run, served, "template", "check", mock_template, "--output", "json").status == 0
    for command in ("log", "events", "artifacts", "cancel", "retry"):
        missing = both(run, served, command, "no/such?")
        assert missing.err == "imagefactory: No image found with id: no/such?\n"
    both(run, served, "plugins", "--id", "nosuch")
    both(run, served, "plugins", "--id", "MockOS", "--output", "json")
    both(run, served, "plugins")


def _parameters(folder: Path, **parameters: object) -> Path:
    path = folder / "parameters.json"
    path.write_text(json.dumps(parameters))
    return path


def test_a_certificate_is_trusted_by_its_fingerprint(
    run: Run, daemon: Daemon, client: Path
) -> None:
    right = tls.fingerprint(daemon.certificate)
    options = ("--server", daemon.url, "--client", client)
    assert run("images", *options, "--fingerprint", right).status == 0
    wrong = run("images", *options, "--fingerprint", right[:-2] + "00")
    assert wrong.status == 1
    assert wrong.err == (
        f'imagefactory: The certificate of the server "{daemon.url}/imagefactory" has another '
        f'fingerprint: "{right}"\n  Compare it with the one in the log of the daemon\n'
    )
    unknown = run("images", *options)
    assert unknown.status == 1
    assert "is not trusted: self-signed certificate\n  Name its certificate" in unknown.err


def test_the_client_is_kept_from_others(run: Run, daemon: Daemon, client: Path) -> None:
    options = ("--server", daemon.url, "--ca", daemon.certificate)
    nobody = run("images", *options)
    assert nobody.status == 1
    assert "does not know who asks" in nobody.err
    client.chmod(0o644)
    refused = run("images", *options, "--client", client)
    assert refused.status == 1
    assert f'The OAuth clients in "{client}" may be read by others' in refused.err


def test_the_environment_may_name_all(
    run: Run, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGEFACTORY_SERVER", daemon.url)
    monkeypatch.setenv("IMAGEFACTORY_CA", str(daemon.certificate))
    monkeypatch.setenv("IMAGEFACTORY_CLIENTS", json.dumps(CLIENT))
    assert run("plugins").status == 0
    assert run("formats").status == 0


def test_who_interrupts_a_build_ends_it_there(
    client: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [str(patient.install(tmp_path / "plugins")), str(TESTS)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(folders))
    template = tmp_path / "patient.tdl"
    template.write_text(patient.TEMPLATE)
    folder = tmp_path / "daemon"
    folder.mkdir()
    monkeypatch.setenv("IMAGEFACTORY_STATE", str(folder / "state"))
    with a_daemon(folder, clients=CLIENT) as daemon:
        server = ("--server", daemon.url, "--ca", str(daemon.certificate), "--client", str(client))
        command = [sys.executable, "-m", "imagefactory.cli.main", "target_image", "mock"]
        command += ["--template", str(template), *server]
        with started(command) as process:
            until(lambda: "BUILDING" in run("images", *server).out)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=30)
        assert (process.returncode, out) == (130, b"")
        assert b"Traceback" not in err
        until(lambda: run("images", *server).out.count("FAILED") == 2, seconds=10)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://127.0.0.1:1", 'The server "https://127.0.0.1:1/imagefactory" cannot be reached'),
        ("127.0.0.1:8075", 'The server "127.0.0.1:8075" is not an address'),
        ("ftp://x", 'The server "ftp://x" is not an address'),
        ("http://[", 'The server "http://[" is not an address'),
        ("https://a:b@h", 'The address of the server "h" holds a user or a password'),
    ],
)
def test_a_server_that_is_none_is_one_sentence(run: Run, url: str, why: str) -> None:
    outcome = run("images", "--server", url)
    assert (outcome.status, outcome.out) == (1, "")
    assert outcome.err.startswith(f"imagefactory: {why}")
    assert outcome.err.count("\n") == 2


def test_another_server_is_told_from_a_factory(run: Run, daemon: Daemon) -> None:
    outcome = run(
        "images", "--server", f"{daemon.url}/imagefactory/docs", "--ca", daemon.certificate
    )
    assert outcome.status == 1
    assert outcome.err.endswith('/docs" is no image factory\n  Is this the address of its API?\n')


def test_what_looks_at_this_machine_asks_no_server(run: Run, daemon: Daemon) -> None:
    refused = run("gc", "--server", daemon.url)
    assert refused.status == 1
    assert refused.err == (
        'imagefactory: The command "gc" works on this machine only\n  Leave out "--server"\n'
    )
