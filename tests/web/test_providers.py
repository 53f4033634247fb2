"""The accounts of the configuration, as the API shows them: by name alone."""

from pathlib import Path

from fakes.api import ROOT, an_api


def test_a_configured_account_is_listed_and_shown_without_its_contents(tmp_path: Path) -> None:
    account = {"target": "mock", "provider": {"host": "hush"}, "credentials": "hush"}
    with an_api(tmp_path, providers={"ours": account}) as api:
        listed = api.http.get(f"{ROOT}/targets/mock/providers")
        [entry] = listed.json()["providers"]
        assert entry["provider"]["id"] == "ours"
        shown = api.http.get(entry["provider"]["href"])
        assert shown.status_code == 200
        assert shown.json()["provider"]["target"]["id"] == "mock"
        detail = api.http.get(f"{ROOT}/targets/mock")
        assert detail.json()["target"]["providers"]["providers"] == [entry]
        other = api.http.get(f"{ROOT}/targets/mocksphere/providers")
        assert other.json() == {"providers": []}
        missing = api.http.get(f"{ROOT}/targets/mocksphere/providers/ours")
        assert (missing.status_code, missing.text) == (404, "No provider found with id: ours")
        assert "hush" not in listed.text + shown.text + detail.text
