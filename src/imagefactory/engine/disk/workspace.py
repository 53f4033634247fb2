"""A disk that a machine gets to work on: one partition with a file system, filled and read without a mount."""

import os
import shutil
import stat
import struct
from pathlib import Path
from typing import Final

from imagefactory.core.errors import BuildError
from imagefactory.engine.command import Tools
from imagefactory.engine.disk.ext4_files import Ext4Files
from imagefactory.engine.disk.layout import KIB, MIB, SECTOR
from imagefactory.engine.files import write_atomically
from imagefactory.engine.formats import sparse

_START: Final = MIB
_LINUX: Final = 0x83
_ENTRY_AT: Final = 0x1BE
_ENTRY: Final = struct.Struct("<B3sB3sII")
_CHS: Final = b"\xfe\xff\xff"  # "look at the numbers of sectors instead"
#: no journal, for nobody will mend it after a crash; and nothing that our own reader does not know
_FEATURES: Final = "none,64bit,dir_index,ext_attr,extent,extra_isize,filetype,flex_bg,uninit_bg"
_MORE: Final = ",large_file,dir_nlink,sparse_super"
_INODES: Final = 1 << 18


def make(path: Path, *, size: int, content: Path, tools: Tools) -> None:
    """A sparse disk of `size` bytes, whose first partition has the files of the folder `content`."""
    config = path.with_suffix(".conf")
    write_atomically(config, "[fs_types]\n ext4 = {\n  inode_size = 256\n }\n")
    with path.open("wb") as file:
        file.truncate(size)
    options = ["-O", _FEATURES + _MORE, "-N", str(_INODES), "-m", "0", "-L", "workspace"]
    extended = f"offset={_START},root_owner=0:0,nodiscard,lazy_itable_init=1"
    place = ["-E", extended, "-d", str(content), str(path), f"{(size - _START) // KIB}k"]
    tools.run(["mkfs.ext4", "-q", "-F", *options, *place], env={"MKE2FS_CONFIG": str(config)})
    config.unlink()
    with path.open("r+b") as file:
        file.seek(_ENTRY_AT)
        sectors = (size - _START) // SECTOR
        file.write(_ENTRY.pack(0, _CHS, _LINUX, _CHS, _START // SECTOR, sectors))
        file.seek(510)
        file.write(b"\x55\xaa")


def put(source: Path, folder: Path, name: str) -> None:
    """Bring a file into a folder of files to be, by another name for it where that is possible."""
    target = folder / name.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.hardlink_to(source.resolve())
    except OSError:
        sparse.copy(source, target, advance=lambda _position: None)


def take(path: Path, name: str, target: Path) -> None:
    """Copy a file out of the file system; what is zero becomes a hole. `BuildError` when there is none."""
    with path.open("rb") as file:
        files = Ext4Files(file, offset=_START, name="working space")
        inode = files.find(name)
        if inode is None or not stat.S_ISREG(inode.mode):
            msg = f'The utility image has left no file "{name}" in its working space'
            raise BuildError(msg, hint='Say where the result is by "results_location"')
        unfinished = target.with_suffix(".part")
        with unfinished.open("wb") as result:
            for piece in files.content(inode):
                if any(piece):
                    result.write(piece)
                else:
                    result.seek(len(piece), os.SEEK_CUR)
            result.truncate(inode.size)
            result.flush()
            os.fsync(result.fileno())
        unfinished.replace(target)


def clear(*paths: Path) -> None:
    """Remove disks and folders that have served."""
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
