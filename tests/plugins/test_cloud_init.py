"""cloud-init asks one cloud, and leaves disks and networks to the image's own services."""

from contract import template
from imagefactory.core.contents import Package
from imagefactory.plugins.cloud_init import cloud_init
from imagefactory.plugins.contract import Customization

CONFIG = """\
# Written when this image was built for GCE.
datasource_list: [A, B, None]
network: {config: disabled}
growpart: {mode: "off"}
resize_rootfs: false
locale: false
"""


def test_a_debian_gets_the_package_and_its_settings() -> None:
    wanted = cloud_init(
        template(),
        "GCE",
        sources=["A", "B"],
        time_server="clock.internal",
        packages=[Package(name="agent")],
    )
    assert [package.name for package in wanted.packages] == ["cloud-init", "agent"]
    contents = {file.name: file.content.text for file in wanted.files}
    assert contents.pop("/etc/cloud/cloud.cfg.d/90_gce.cfg") == CONFIG
    assert contents.pop("/etc/systemd/timesyncd.conf.d/gce.conf").endswith("NTP=clock.internal\n")
    assert not contents


def test_without_a_clock_of_the_clouds_that_of_the_system_stays() -> None:
    [settings] = cloud_init(template(), "EC2", sources=["Ec2"]).files
    assert settings.name == "/etc/cloud/cloud.cfg.d/90_ec2.cfg"


def test_another_system_says_itself_what_it_needs() -> None:
    assert cloud_init(template(name="Fedora"), "EC2", sources=["Ec2"]) == Customization()
