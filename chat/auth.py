"""Who is this, and what may they do? Open mode takes anybody at their word, signed mode takes signatures."""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jwt
from jwt.exceptions import ExpiredSignatureError, ImmatureSignatureError, InvalidTokenError

from chat import names
from chat.exceptions import CredentialsUnavailable, InvalidCredential, InvalidName, SettingsError
from chat.jwks import KeySet
from chat.protocol import User
from chat.revocations import Revocations
from chat.rights import EVERYTHING, Rights
from chat.settings import Settings

LEEWAY = 10.0  # seconds by which our clock and that of the issuer may differ
MOST_CHARACTERS = 8192  # of a token; nothing longer is looked at
LAST_SECOND = 253402300799.0  # of the year 9999; what is said to last longer lasts until then
OURS = "HS256"  # the one algorithm for `CHAT_SECRET_KEY`
THEIRS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"})

_PLAIN_ID = re.compile(r"[\w.@|+~-]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Identity:
    """A person, and what the credential that was shown allows."""

    user: User
    rights: Rights = EVERYTHING
    expires: float | None = None  # seconds since 1970
    token_id: str | None = None
    issued: float | None = None  # seconds since 1970
    admin: bool = False


def open_user(credential: str, name: str | None = None) -> User:
    """Return the person behind a credential that is not checked.

    The credential is never shown to anybody else: the id is a short hash of it. Raises `InvalidName`.
    """
    return _user(
        hashlib.sha256(f"chat.user:{credential}".encode(errors="surrogatepass")).hexdigest()[:16],
        None if name is None else names.display_name(name),
    )


def user_id(subject: str) -> str:
    """Return the id of the person that a token calls so: the same word if it is a plain one, else a short hash."""
    if _PLAIN_ID.fullmatch(subject):
        return subject
    return "~" + hashlib.sha256(f"chat.subject:{subject}".encode(errors="surrogatepass")).hexdigest()[:16]


def _user(id: str, name: str | None) -> User:
    return User(id=id, name=f"Guest {id[-4:] if id.startswith('guest-') else id[:4]}" if name is None else name)


class Authenticator:
    """Tells who shows a credential, and makes credentials of our own. Raises `SettingsError`."""

    def __init__(
        self, settings: Settings, *, clock: Callable[[], float] = time.time, keys: KeySet | None = None
    ) -> None:
        self._secrets = settings.secrets
        self._keys = keys or (KeySet(settings.jwks_url) if settings.jwks_url else None)
        self._audience = settings.jwks_audience or None
        self._issuer = settings.jwks_issuer or None
        self._clock = clock
        self.revocations = Revocations()
        self.signed = bool(self._secrets or self._keys)
        self.guests = settings.guests
        if (self._audience or self._issuer) and not settings.jwks_url:
            raise SettingsError("CHAT_JWKS_AUDIENCE and CHAT_JWKS_ISSUER are about tokens by the keys at CHAT_JWKS_URL")
        if settings.guests and not self._secrets:
            raise SettingsError("CHAT_GUESTS needs CHAT_SECRET_KEY, to sign what guests are let in by")
        if self.signed and 0 < settings.revocation_ttl < max(settings.session_ttl, settings.token_ttl):
            raise SettingsError(
                f"CHAT_REVOCATION_TTL is {settings.revocation_ttl}, and sessions or tokens last longer "
                "(CHAT_SESSION_TTL, CHAT_TOKEN_TTL): what was revoked would count again"
            )

    @property
    def can_sign(self) -> bool:
        """Whether there is a secret to make credentials with."""
        return bool(self._secrets)

    async def identify(self, credential: str, name: str | None = None) -> Identity:
        """Return who shows a credential; `name` counts where the credential itself has none.

        Raises `InvalidCredential`, `InvalidName`, and `CredentialsUnavailable` if it cannot be told now.
        """
        if not self.signed:
            return Identity(open_user(credential, name))
        if name is not None:
            name = names.display_name(name)
        identity = self._identity(await self._claims(credential), name)
        if not self.revocations.known:
            raise CredentialsUnavailable("it cannot be told at the moment whether the token was revoked; try again")
        if self.revocations.has(identity.user.id, identity.token_id, identity.issued):
            raise InvalidCredential("the token was revoked")
        return identity

    def issue(
        self,
        subject: str,
        *,
        lasts: float,
        name: str | None = None,
        rights: Rights = EVERYTHING,
        admin: bool = False,
    ) -> tuple[str, Identity]:
        """Make a token that is good for so many seconds; returns it and who shows it. Raises `SettingsError`."""
        if not self._secrets:
            raise SettingsError("a token can only be made with CHAT_SECRET_KEY")
        now = self._clock()
        claims: dict[str, Any] = {"sub": subject, "iat": int(now), "exp": int(now + lasts), "jti": secrets.token_hex(8)}
        if name is not None:
            claims["name"] = names.display_name(name)
        if (rooms := rights.claim()) is not None:
            claims["rooms"] = rooms
        if admin:
            claims["admin"] = True
        return jwt.encode(claims, self._secrets[0], algorithm=OURS), self._identity(claims, None)

    async def _claims(self, token: str) -> dict[str, Any]:
        """Return what a token says, if whoever may say so has signed it."""
        if len(token) > MOST_CHARACTERS:
            raise InvalidCredential(f"the token has {len(token)} characters; at most {MOST_CHARACTERS} are looked at")
        try:
            header = jwt.get_unverified_header(token)
            algorithm = header.get("alg")
            if algorithm == OURS and self._secrets:
                claims = self._verified_by_secret(token)
            elif algorithm in THEIRS and self._keys is not None:
                claims = await self._verified_by_key(token, header, self._keys)
            else:
                raise InvalidCredential("the token is signed in a way that is not accepted here")
        except ExpiredSignatureError:
            raise InvalidCredential("the token has expired") from None
        except ImmatureSignatureError:
            raise InvalidCredential("the token is not good yet") from None
        except (InvalidTokenError, ValueError, TypeError, OverflowError):
            raise InvalidCredential("the token is not one that is accepted here") from None
        return claims

    def _verified_by_secret(self, token: str) -> dict[str, Any]:
        for secret in self._secrets:
            try:
                return self._decoded(token, secret, OURS, verify_aud=False)
            except jwt.InvalidSignatureError:
                continue
        raise InvalidCredential("the token is not signed by a secret of ours")

    async def _verified_by_key(self, token: str, header: dict[str, Any], keys: KeySet) -> dict[str, Any]:
        key = await keys.key(header.get("kid"))
        if key is None or key.algorithm_name != header["alg"]:
            raise InvalidCredential("the token is signed by a key that is not known here")
        return self._decoded(
            token,
            key,
            key.algorithm_name,
            audience=self._audience,
            issuer=self._issuer,
            verify_aud=self._audience is not None,
        )

    def _decoded(self, token: str, key: Any, algorithm: str, *, verify_aud: bool, **expected: Any) -> dict[str, Any]:
        options: Any = {"require": ["sub", "exp"], "verify_aud": verify_aud}
        return jwt.decode(token, key, algorithms=[algorithm], leeway=LEEWAY, options=options, **expected)

    def _identity(self, claims: dict[str, Any], name: str | None) -> Identity:
        subject, shown, token_id, issued = (claims.get(claim) for claim in ("sub", "name", "jti", "iat"))
        if not isinstance(subject, str) or not 0 < len(subject) <= 256:
            raise InvalidCredential("the token is signed, but its sub is not 1 to 256 characters")
        try:
            if shown is not None:
                name = names.display_name(shown if isinstance(shown, str) else "")
            rights = Rights.parse(claims.get("rooms"))
        except (InvalidName, ValueError) as error:
            raise InvalidCredential(f"the token is signed, but {error}") from None
        return Identity(
            _user(user_id(subject), name),
            rights,
            expires=min(float(claims["exp"]), LAST_SECOND),
            token_id=token_id if isinstance(token_id, str) else None,
            issued=float(issued) if isinstance(issued, int | float) else None,
            admin=claims.get("admin") is True,
        )
