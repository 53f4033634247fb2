"""A tiny guest made of this machine's own programs, for steps that run inside a tree."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from fakes.build import a_build
from imagefactory.engine.command import Tools
from imagefactory.engine.plan import Build
from imagefactory.engine.sandbox import Sandbox
from imagefactory.engine.tree import Tree

PROGRAMS: Final = (
    *("sh", "bash", "cat", "chmod", "chown", "chpasswd", "dirname", "find", "id", "ln", "ls"),
    *("mkdir", "mkfifo", "rm", "sleep", "stat", "systemctl", "touch"),
)

_COPY: Final = """
set -e
mkdir -p usr/bin usr/lib usr/lib64 usr/sbin etc/systemd proc dev tmp run root sys
chmod 1777 tmp
for name in bin sbin lib lib64; do ln -s usr/$name $name; done
for program; do
    path=$(PATH=$PATH:/usr/sbin command -v "$program")
    cp "$path" usr/bin/
    ldd "$path" | grep -o '/[^ ]*' | while read -r library; do cp -n "$library" usr/lib/ || true; done
done
cp -L /lib64/ld-linux-x86-64.so.2 usr/lib64/
echo 'root:x:0:0:root:/root:/bin/sh' > etc/passwd
echo 'root:old:19000:0:99999:7:::' > etc/shadow
chmod 640 etc/shadow
"""


@contextmanager
def a_guest(folder: Path, *, tools: Tools | None = None) -> Iterator[Build]:
    """A build whose tree is the tiny guest; all of it is removed at the end."""
    state = folder / "state"
    state.mkdir(mode=0o711)
    build = a_build(state, tools=tools)
    sandbox = Sandbox(state=state, tools=Tools())
    layer = build.scratch / "system"
    sandbox.own(build.scratch)
    sandbox.own(layer, mode=0o755)
    try:
        sandbox.host(["sh", "-c", _COPY, "sh", *PROGRAMS], cwd=layer, quiet=True)
        Tree.load(build).adopt(layer)
        yield build
    finally:
        sandbox.remove(build.scratch)
