"""What counts as a sign of life of an installer."""

from dataclasses import dataclass

from imagefactory.engine.installer.activity import Activity


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def an_activity() -> tuple[Activity, Clock]:
    clock = Clock()
    activity = Activity(clock=clock)
    activity.start()
    clock.now += 60
    return activity, clock


def test_nothing_is_idle_from_the_start() -> None:
    activity, _ = an_activity()
    assert activity.idle == 60


def test_a_counter_that_grows_is_life_and_one_that_stays_is_none() -> None:
    activity, clock = an_activity()
    activity.count("written", 0)
    assert activity.idle == 60
    activity.count("written", 512)
    assert activity.idle == 0
    clock.now += 10
    activity.count("written", 512)
    assert activity.idle == 10
    assert activity.counted("written") == 512


def test_a_new_line_is_life() -> None:
    activity, clock = an_activity()
    activity.hear(["Partitioning disks"])
    assert activity.idle == 0
    clock.now += 10
    activity.hear(["Partitioning disks", "Installing the base system"])
    assert activity.idle == 0


def test_a_clock_on_the_console_is_none() -> None:
    activity, clock = an_activity()
    activity.hear(["Nov 28 6:10"])
    clock.now += 60
    activity.hear(["Nov 28 6:10", "Nov 28 6:11"])
    assert activity.idle == 60


def test_what_is_said_without_end_is_not_kept_without_end() -> None:
    activity, _ = an_activity()
    for letters in range(20_000):
        activity.hear([format(letters, "x").translate(str.maketrans("0123456789", "ghijklmnop"))])
    assert len(activity._said) <= 10_000
