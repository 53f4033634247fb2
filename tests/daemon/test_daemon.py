"""The daemon as a process: how it starts, ends, dies, and what becomes of its builds."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from fakes.daemon_process import Daemon
from fakes.patience import until
from fakes.patient import GO, TEMPLATE
from imagefactory.core.config import Config
from imagefactory.daemon.program import Reach, reach_of

pytestmark = pytest.mark.integration

LINE = re.compile(r"\d{4}-\d\d-\d\d \S+ (?:INFO|WARNING) [\w.]+ thread\([^)]+\) Message: .*")


def finish(daemon: Daemon, image_id: str) -> None:
    (daemon.state / GO).touch()
    until(lambda: daemon.status(image_id) in {"COMPLETE", "FAILED"}, seconds=60)
    assert daemon.status(image_id) == "COMPLETE"
    body = daemon.state / "storage" / f"{image_id}.body"
    assert body.read_text() == "third"


def test_a_daemon_that_is_killed_finishes_the_image_after_a_restart(daemon: Daemon) -> None:
    killed = daemon.start()
    image_id = daemon.begin()
    os.kill(killed, signal.SIGKILL)
    daemon.started[-1].wait()
    until(lambda: not workers_of(killed), seconds=20)
    daemon.start()
    assert daemon.status(image_id) == "BUILDING"
    finish(daemon, image_id)
    assert daemon.steps() == ["first", "second", "second", "third"], "a finished step is kept"


def test_a_key_outlives_a_daemon_that_is_killed(daemon: Daemon) -> None:
    asked = {"base_image": {"template": TEMPLATE}}
    key = {"Idempotency-Key": "once"}
    killed = daemon.start()
    first = daemon.ask("/base_images", asked, key)["base_image"]["id"]
    os.kill(killed, signal.SIGKILL)
    daemon.started[-1].wait()
    daemon.start()
    assert daemon.ask("/base_images", asked, key)["base_image"]["id"] == first
    assert len(daemon.ask("/base_images")["base_images"]) == 1
    finish(daemon, first)


def test_a_worker_that_is_killed_is_started_again(daemon: Daemon) -> None:
    pid = daemon.start()
    image_id = daemon.begin()
    [worker] = workers_of(pid)
    os.kill(worker, signal.SIGKILL)
    finish(daemon, image_id)
    assert daemon.steps() == ["first", "second", "second", "third"]


def test_sigterm_lets_go_of_builds_in_good_order(daemon: Daemon) -> None:
    pid = daemon.start("--verbose")
    image_id = daemon.begin()
    for ignored in (signal.SIGHUP, signal.SIGALRM):
        os.kill(pid, ignored)
    assert daemon.status(image_id) == "BUILDING"
    os.kill(pid, signal.SIGTERM)
    assert daemon.started[-1].wait(40) == 0
    lives = daemon.state / "scratch" / image_id / "lives"
    assert lives.read_text() == "0", "a life that ended in good order does not count"
    daemon.start()
    finish(daemon, image_id)
    assert daemon.steps() == ["first", "second", "second", "third"]
    log = (daemon.state.parent / "stderr").read_text()
    assert all(map(LINE.fullmatch, log.splitlines())), log
    assert "Traceback" not in log


def test_in_the_background_it_has_a_pid_file_and_a_log_that_can_be_rotated(
    daemon: Daemon,
) -> None:
    started = subprocess.run(
        daemon.command("--verbose"), env=daemon.environment, check=True, capture_output=True
    )
    assert started.stdout + started.stderr == b""
    assert daemon.answers(), "the command ends when clients can connect"
    pid = int((daemon.state / "imagefactoryd.pid").read_text())
    status = Path(f"/proc/{pid}/status").read_text()
    assert "Umask:\t0077" in status
    assert Path(f"/proc/{pid}/cwd").readlink() == Path("/")
    assert os.getsid(pid) not in {os.getsid(0), pid}, "no terminal can become its own"
    log = daemon.state / "log" / "imagefactoryd.log"
    until(lambda: "The worker local works" in log.read_text(), seconds=60)
    assert f"http://127.0.0.1:{daemon.port}/imagefactory to this machine only" in log.read_text()
    log.rename(log.with_suffix(".1"))
    (daemon.state / GO).touch()
    daemon.ask("/base_images", {"base_image": {"template": "<template/>"}})
    until(lambda: log.exists() and "is FAILED" in log.read_text(), seconds=30)
    os.kill(pid, signal.SIGTERM)
    until(lambda: not (daemon.state / "imagefactoryd.pid").exists(), seconds=40)
    until(lambda: not Path(f"/proc/{pid}").exists(), seconds=10)


def test_one_that_cannot_start_says_why_in_one_sentence(daemon: Daemon) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", daemon.port))
        taken.listen()
        for options in ((), ("--foreground",)):
            refused = subprocess.run(
                daemon.command(*options), env=daemon.environment, capture_output=True, text=True,
                check=False,
            )  # fmt: skip
            assert refused.returncode == 1
            assert refused.stderr == (
                f'imagefactoryd: Cannot listen on "127.0.0.1" port "{daemon.port}": '
                "Address already in use (Choose another with --port)\n"
            )
    assert not (daemon.state / "imagefactoryd.pid").exists()


@pytest.mark.parametrize(
    ("address", "reach"),
    [
        (Config().address, Reach.ALL), ("::", Reach.ALL), ("127.0.0.1", Reach.LOOPBACK),
        ("::1", Reach.LOOPBACK), ("localhost", Reach.LOOPBACK), ("192.0.2.7", Reach.ONE),
        ("factory.example.org", Reach.ONE),
    ],
)  # fmt: skip
def test_the_log_says_who_can_connect(address: str, reach: Reach) -> None:
    assert reach_of(address) is reach


def test_systemd_is_told_when_it_is_ready_and_when_it_ends(daemon: Daemon, tmp_path: Path) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(path))
        systemd.settimeout(40)
        daemon.start(environment={"NOTIFY_SOCKET": str(path)})
        assert systemd.recv(100) == b"READY=1"
        daemon.started[-1].terminate()
        assert systemd.recv(100) == b"STOPPING=1"


def test_dead_keys_of_old_configurations_are_explained_in_the_log(daemon: Daemon) -> None:
    environment = daemon.environment
    old = {
        "image_manager": "file",
        "max_concurrent_ec2_sessions": 4,
        "proxy_ami_id": "ami-id",
        "secondary": False,
    }
    Path(environment["IMAGEFACTORY_CONFIG"]).write_text(json.dumps(old))
    process = subprocess.Popen(
        daemon.command("--foreground"), env=environment, stderr=subprocess.PIPE
    )
    daemon.started.append(process)
    assert process.stderr is not None
    lines = [process.stderr.readline().decode() for _ in range(3)]
    assert [re.findall('The key "(.+)" of', line) for line in lines] == [
        ["max_concurrent_ec2_sessions"], ["proxy_ami_id"], ["secondary"],
    ]  # fmt: skip
    process.stderr.close()


def test_there_are_no_secondary_factories(daemon: Daemon) -> None:
    refused = subprocess.run(
        daemon.command("--secondary"), env=daemon.environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert refused.returncode == 1
    assert refused.stderr == (
        'imagefactoryd: The command line asks for a "secondary" factory, and there are none any more '
        "(Leave it out; workers share the work)\n"
    )


def workers_of(pid: int) -> list[int]:
    """The worker processes of a daemon, also of one that is dead."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_text()
            groups = (process / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if "spawn_main" in command and pid in {int(groups[1]), int(groups[2]), int(groups[3])}:
            found.append(int(process.name))
    return found


def test_a_bug_that_ends_the_daemon_is_in_its_log(daemon: Daemon) -> None:
    script = """
import sys
from imagefactory.daemon import program
def open_factory(_config, **_how): raise KeyError("password=hunter2")
program.open_factory = open_factory
sys.exit(program.main(sys.argv[1:]))
"""
    words = daemon.command()[3:]
    ended = subprocess.run(
        [sys.executable, "-c", script, *words],
        env=daemon.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr == "imagefactoryd: It died while starting; see its log\n"
    log = (daemon.state / "log" / "imagefactoryd.log").read_text()
    assert "KeyError" in log
    assert "hunter2" not in log
    assert not (daemon.state / "imagefactoryd.pid").exists()


def test_images_of_an_original_store_are_there_from_the_first_answer_on(daemon: Daemon) -> None:
    storage = daemon.state / "storage"
    storage.mkdir(parents=True)
    ids = {f"{number:08}-0000-0000-0000-000000000000" for number in range(500)}
    for image_id in ids:
        meta = {
            "identifier": image_id,
            "type": "BaseImage",
            "status": "COMPLETE",
            "percent_complete": 100,
        }
        (storage / f"{image_id}.meta").write_text(json.dumps(meta))
    daemon.start()
    listed = daemon.ask("/base_images")["base_images"]
    assert {image["base_image"]["id"] for image in listed} == ids
