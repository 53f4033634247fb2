"""The sub-commands that build, end to end with the mock plugins: output, exit codes, parameters."""

import json
import os
import re
from pathlib import Path

import pytest

from fakes.program import Run
from imagefactory.cli.files import parameters_of, provider_of
from imagefactory.cli.parser import make_parser
from imagefactory.core.errors import RequestError

UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def test_the_final_block_is_what_programs_scrape(
    run: Run, state: Path, mock_template: Path
) -> None:
    outcome = run("base_image", mock_template)
    found = re.search("UUID: (.*)", outcome.out)
    assert found
    assert re.fullmatch(UUID, found[1])
    body = state / "storage" / f"{found[1]}.body"
    assert outcome.out == (
        "\n============ Final Image Details ============\n"
        f"UUID: {found[1]}\nType: base_image\nImage filename: {body}\n"
        "Image build completed SUCCESSFULLY!\n"
    )
    assert outcome.status == 0
    assert body.read_text() == f"MockOS base_image file for id ({found[1]})"
    assert "== Writing a sentence instead of a system" in outcome.err, "the log of the build"

    target = run("--nodebug", "target_image", "mock", "--id", found[1])
    assert target.status == 0
    assert "Type: target_image\n" in target.out
    assert "Target Image: Target Image build complete" in target.err
    assert "==" not in target.err


def test_a_whole_cascade_says_what_the_provider_calls_the_image(
    run: Run, tmp_path: Path, mock_template: Path
) -> None:
    credentials = tmp_path / "credentials"
    credentials.write_text("hush hush\n")
    outcome = run("provider_image", "mock", "@here", credentials, "--template", mock_template)
    assert re.fullmatch(
        "\n============ Final Image Details ============\n"
        f"UUID: {UUID}\nType: provider_image\nImage filename: .*\nImage ID on provider: {UUID}\n"
        "Image build completed SUCCESSFULLY!\n",
        outcome.out,
    )
    assert "hush" not in outcome.out + outcome.err

    shown = json.loads(run("--output", "json", "images", '{"type": "ProviderImage"}').out)
    assert shown["provider"] == "here"
    assert shown["parameters"] == {"snapshot": False}
    assert list(shown) == [
        "type", "identifier", "data", "template", "icicle", "status_detail", "status",
        "percent_complete", "parameters", "properties", "target_image_id", "provider",
        "identifier_on_provider", "provider_account_identifier",
    ]  # fmt: skip
    everything = json.loads(run("images", "--output", "json").out)
    assert len(everything["images"]) == 3
    deleted = json.loads(run("delete", shown["identifier"], "--output", "json").out)
    assert deleted["status"] == "DELETED"


def test_a_failed_build_is_told_and_is_status_1(run: Run, tmp_path: Path) -> None:
    template = tmp_path / "wrong.tdl"
    template.write_text("<template><name>x</name></template>")
    outcome = run("base_image", template)
    assert outcome.status == 1
    assert outcome.out.startswith("\nImage build FAILED with error: ")
    assert "UUID" not in outcome.out

    outcome = run("--output", "json", "base_image", template)
    shown = json.loads(outcome.out)
    assert outcome.status == 1
    assert shown["status"] == "FAILED"
    assert shown["status_detail"]["error"]
    assert outcome.err == ""

    tried_again = run("retry", shown["identifier"])
    assert tried_again.status == 1
    assert "FAILED with error" in tried_again.out


def test_json_mode_shows_the_final_state_and_logs_to_a_file(
    run: Run, state: Path, mock_template: Path
) -> None:
    outcome = run("base_image", mock_template, "--output", "json", "--verbose")
    shown = json.loads(outcome.out)
    assert (outcome.status, outcome.err) == (0, "")
    assert (shown["status"], shown["percent_complete"]) == ("COMPLETE", 100)
    log = (state / "log" / "imagefactory.log").read_text()
    assert re.search(
        r"^\d{4}-.* INFO [\w.]+ thread\(.+\) Message: .*is COMPLETE", log, re.MULTILINE
    )


def test_parameters_come_from_three_places(tmp_path: Path) -> None:
    every, one = tmp_path / "parameters.json", tmp_path / "kickstart"
    every.write_text('{"a": 1, "b": 1, "c": 1}')
    one.write_text("content\n")
    words = f"--parameters {every} --parameter b 2 --parameter c 2 --file-parameter c {one}"
    options = make_parser().parse_args(["base_image", "x", *words.split()])
    assert parameters_of(options) == {"a": 1, "b": "2", "c": "content\n"}


@pytest.mark.parametrize("content", ["{", "[]", "[" * 100_000])
def test_parameters_that_are_no_object_are_refused(
    run: Run, tmp_path: Path, mock_template: Path, content: str
) -> None:
    file = tmp_path / "parameters.json"
    file.write_text(content)
    outcome = run("base_image", mock_template, "--parameters", file)
    assert outcome.status == 1
    assert outcome.err.startswith(f'imagefactory: The file "{file}" ')
    assert outcome.out == ""


def test_a_file_that_is_not_there_is_named(run: Run, tmp_path: Path) -> None:
    outcome = run("base_image", tmp_path / "nothing.tdl")
    assert outcome.status == 1
    assert outcome.err == (
        f'imagefactory: The file "{tmp_path}/nothing.tdl" cannot be read: '
        "No such file or directory\n"
    )


def test_in_json_mode_a_program_gets_the_error_too(run: Run) -> None:
    outcome = run("--output", "json", "plugins", "--id", "nosuch")
    assert outcome.status == 1
    assert json.loads(outcome.out) == {
        "error": "No plugin found with id: nosuch",
        "hint": None,
        "code": "IF-1003",
    }
    assert outcome.err == "imagefactory: No plugin found with id: nosuch\n"


def test_a_provider_is_a_text_or_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "provider"
    file.write_text('{"region": "here"}\n\n')
    assert provider_of("@ a text ") == " a text "
    assert provider_of(str(file)) == '{"region": "here"}'
    with pytest.raises(RequestError):
        provider_of("no such file")


def test_a_lock_is_handed_to_the_plugin(
    run: Run, tmp_path: Path, mock_template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[object] = []

    def create(_self: object, *, template: str, parameters: dict[str, object]) -> None:
        given.append(parameters["lock"])
        raise RequestError(template[:9])

    monkeypatch.setattr("imagefactory.builds.factory.Factory.create_base_image", create)
    lock = tmp_path / "lock.json"
    lock.write_text("a lock")
    assert run("base_image", mock_template, "--lock", lock).status == 1
    assert given == ["a lock"]


def test_a_users_umask_does_not_reach_into_guests(run: Run, mock_template: Path) -> None:
    os.umask(0o077)
    assert run("base_image", mock_template).status == 0
    assert os.umask(0o022) == 0o022


def test_an_operator_may_want_a_root_password_in_every_template(
    run: Run, mock_template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGEFACTORY_TDL_REQUIRE_ROOT_PW", "true")
    assert run("base_image", mock_template).status == 0
    without = mock_template.read_text().replace("<rootpw>open sesame</rootpw>", "")
    mock_template.write_text(without)
    outcome = run("base_image", mock_template)
    assert outcome.status == 1
    assert "FAILED with error: Failed to find root/Administrator password in TDL" in outcome.out
