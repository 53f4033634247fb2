"""What this program is, as far as what it makes depends on it."""

import hashlib
from functools import cache
from pathlib import Path


@cache
def program_digest() -> str:
    """A SHA-256 of the engine's own code: another program may make something else of the same."""
    digest = hashlib.sha256()
    folder = Path(__file__).parent
    for path in sorted(folder.rglob("*.py")):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder)} {len(content)}\n".encode() + content)
    return digest.hexdigest()
