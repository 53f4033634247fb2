"""What a guest needs to be Vagrant's."""

from typing import Final

from imagefactory.core.contents import Command, Content, Package
from imagefactory.plugins.contract import Customization

#: known to everyone: Vagrant puts a key of its own in its place at the first start
_INSECURE_KEY: Final = (
    "ssh-rsa AAAAB3NzaC1yc2EAAAABIwAAAQEA6NF8iallvQVp22WDkTkyrtvp9eWW6A8YVr+kz4TjGYe7gHzIw+niNltGEFHz"
    "D8+v1I2YJ6oXevct1YeS0o9HZyN1Q9qgCgzUFtdOKLv6IedplqoPkcmF0aYet2PkEDo3MlTBckFXPITAMzF8dJSIFo9D8Hfd"
    "OV0IAdx4O7PtixWKn5y2hMNG0zQPyUecp4pzC6kivAIhyfHilFR61RGL+GPXQ2MWZWFYbAGjyiYJnAmCP3NOTd0jMZEnDkbU"
    "vxhMmBYSdETk1rRgm+R4LOzFUGaHqHDLKLX+FIPKcF96hrucXzcWyLbIbEgE98OHlnVYCzRdK8jlqm8tehUc9c9WhQ== "
    "vagrant insecure public key"
)

_ADD_USER: Final = f"""set -e
id -u vagrant >/dev/null 2>&1 || useradd --create-home --user-group --shell /bin/bash vagrant
install -d -m 700 -o vagrant -g vagrant /home/vagrant/.ssh
echo '{_INSECURE_KEY}' > /home/vagrant/.ssh/authorized_keys
chown vagrant:vagrant /home/vagrant/.ssh/authorized_keys
chmod 600 /home/vagrant/.ssh/authorized_keys
echo 'vagrant ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/vagrant
chmod 440 /etc/sudoers.d/vagrant
"""

#: a user without a password, who opens with the insecure key and may do all; folders come by rsync
VAGRANT_USER: Final = Customization(
    packages=(Package(name="sudo"), Package(name="rsync")),
    commands=(Command(name="add the user vagrant", content=Content(type="raw", text=_ADD_USER)),),
)
