"""Packages that only some mappings need, each an extra of this one."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

CRYPTOGRAPHY: Final = "cryptography"
"""What signs with RSA keys."""

INSTALL: Final = {CRYPTOGRAPHY: "pip install 'endpoint-engine[jwt]'"}
"""How each of them is installed."""


def is_installed(name: str) -> bool:
    """Whether a package can be imported; it is not."""
    return find_spec(name) is not None
