"""Dependencies are followed within a complete set."""

from imagefactory.engine.packages.dependencies import asked_for, closure, provided

SET = [
    {"Package": "shell", "Essential": "yes", "Pre-Depends": "libc (>= 2), awk:any"},
    {"Package": "libc", "Depends": "base [amd64] | other"},
    {"Package": "base"},
    {"Package": "mawk", "Provides": "awk (= 1), posix-awk", "Depends": "libc, absent"},
    {"Package": "apt", "Depends": "libc"},
    {"Package": "editor", "Depends": "shell"},
]


def names(found: list[dict[str, str]]) -> list[str]:
    return [one["Package"] for one in found]


def test_all_that_is_needed_is_taken_in_order() -> None:
    assert [one["Package"] for one in closure(SET, ["shell"])] == ["shell", "libc", "base", "mawk"]


def test_a_circle_ends() -> None:
    circle = [{"Package": "a", "Depends": "b"}, {"Package": "b", "Depends": "a"}]
    assert closure(circle, ["a"]) == circle


def test_a_virtual_name_means_those_that_provide_it() -> None:
    assert provided(SET[3]) == {"awk", "posix-awk"}
    assert asked_for(SET, ["awk", "apt", "nothing"]) == {"mawk", "apt"}


def test_a_real_name_means_only_itself() -> None:
    both = [{"Package": "awk"}, {"Package": "mawk", "Provides": "awk"}]
    assert asked_for(both, ["awk"]) == {"awk"}
