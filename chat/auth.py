"""Who is this? In open mode: whoever shows any credential."""

from __future__ import annotations

import hashlib

from chat import names
from chat.protocol import User


def open_user(credential: str, name: str | None = None) -> User:
    """Return the person behind a credential that is not checked.

    The credential is never shown to anybody else: the id is a short hash of it. Raises `InvalidName`.
    """
    id = hashlib.sha256(f"chat.user:{credential}".encode(errors="surrogatepass")).hexdigest()[:16]
    return User(id=id, name=f"Guest {id[:4]}" if name is None else names.display_name(name))
