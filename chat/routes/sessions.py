"""Signing in and out, and tokens for whoever is signed in."""

from __future__ import annotations

import logging
import re
import secrets
import time
from functools import cache
from typing import Annotated, Self

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field, model_validator

from chat import __version__, names, protocol
from chat.auth import Authenticator, Identity, user_id
from chat.dependencies import from_here, get_authenticator, get_identity, get_manager, is_own, paced, signs_in
from chat.exceptions import ChatError, CredentialsUnavailable, Forbidden, InvalidCredential
from chat.manager import ConnectionManager
from chat.protocol import CloseCode
from chat.refusal import refusals
from chat.revocations import LOG, Revocation
from chat.rights import Action, Rights

logger = logging.getLogger("chat.sessions")

router = APIRouter(tags=["who may enter"])

COOKIE = "session"
LONGEST_COOKIE = 3800  # characters; browsers drop what has more than 4096 with name and attributes
GUEST = "guest-"  # what the ids of guests begin with

_SURROGATE = re.compile("[\ud800-\udfff]")  # JSON can say half a character; UTF-8 cannot

REFUSED_BY = (
    CloseCode.UNAUTHENTICATED,
    CloseCode.FORBIDDEN,
    CloseCode.TOO_LARGE,
    CloseCode.MALFORMED,
    CloseCode.RATE_LIMITED,
    CloseCode.UNAVAILABLE,
)

Manager = Annotated[ConnectionManager, Depends(get_manager)]
Auth = Annotated[Authenticator, Depends(get_authenticator)]


class SignIn(BaseModel):
    """A token that somebody issued, or the name of a guest."""

    token: Annotated[str | None, Field(description="becomes the cookie")] = None
    name: Annotated[str | None, Field(description="to be a guest under, if CHAT_GUESTS allows it")] = None


class Person(BaseModel):
    """Who somebody is to the others."""

    id: str
    name: str


class Session(BaseModel):
    """How people get in, and who is signed in."""

    mode: Annotated[str, Field(description="open: any token does; signed: only tokens that verify")]
    guests: Annotated[bool, Field(description="whether POST /session takes a name")]
    user: Person | None = None
    expires: Annotated[str | None, Field(description="ISO 8601, UTC")] = None
    version: Annotated[str, Field(description="the service's; a page that knows another one is out of date")] = (
        __version__
    )


class Revoked(BaseModel):
    """Whose tokens, or which one."""

    user: Annotated[str | None, Field(description="the person's id: all tokens issued up to now")] = None
    token: Annotated[str | None, Field(description="a token's jti")] = None

    @model_validator(mode="after")
    def says_something(self) -> Self:
        if self.user is None and self.token is None:
            raise ValueError("say user or token")
        if _SURROGATE.search(f"{self.user}{self.token}"):
            raise ValueError("half a character is none")
        return self


class TokenWish(BaseModel):
    """What the token is to be good for."""

    room: Annotated[str | None, Field(description="one room only, as for an address that others may see")] = None
    ttl: Annotated[int | None, Field(gt=0, description="seconds; never more than CHAT_TOKEN_TTL")] = None


class Token(BaseModel):
    """A token, and until when it is good."""

    token: str
    expires: Annotated[str, Field(description="ISO 8601, UTC")]


@router.post(
    "/session", status_code=201, dependencies=[Depends(from_here), Depends(signs_in)], responses=refusals(*REFUSED_BY)
)
async def sign_in(request: Request, response: Response, wish: SignIn, manager: Manager, auth: Auth) -> Session:
    """Become a guest under a name, or put a token into the session cookie."""
    if wish.token is not None:
        credential, identity = wish.token, await _by_token(auth, wish.token)
    else:
        credential, identity = await _as_guest(request, wish.name, manager, auth)
    response.set_cookie(
        COOKIE,
        credential,
        max_age=None if identity.expires is None else max(int(identity.expires - time.time()), 0),
        httponly=True,
        samesite="lax",
        secure=_by_tls(request),
    )
    response.headers["Cache-Control"] = "no-store"
    return _session(auth, identity)


async def _by_token(auth: Authenticator, token: str) -> Identity:
    if not token or len(token) > LONGEST_COOKIE or not token.isascii() or not token.isprintable():
        raise InvalidCredential(f"a token for the cookie is 1 to {LONGEST_COOKIE} ASCII characters")
    return await auth.identify(token)


async def _as_guest(
    request: Request, name: str | None, manager: ConnectionManager, auth: Authenticator
) -> tuple[str, Identity]:
    if not auth.guests:
        raise Forbidden("guests are not let in here; sign in with a token")
    before = await _whoever(request, auth)
    known = before is not None and before.user.id.startswith(GUEST)
    subject = before.user.id if before is not None and known else GUEST + secrets.token_hex(8)
    return auth.issue(subject, lasts=manager.settings.session_ttl, name=names.display_name(name or ""))


@router.get(
    "/session", dependencies=[Depends(paced)], responses=refusals(CloseCode.RATE_LIMITED, CloseCode.UNAVAILABLE)
)
async def who_am_i(request: Request, response: Response, auth: Auth) -> Session:
    """See how people get in, and who the cookie says you are."""
    response.headers["Cache-Control"] = "no-store"
    return _session(auth, await _whoever(request, auth))


@router.delete(
    "/session",
    status_code=204,
    dependencies=[Depends(from_here), Depends(paced)],
    responses=refusals(CloseCode.FORBIDDEN, CloseCode.RATE_LIMITED),
)
async def sign_out(request: Request, response: Response) -> None:
    """Forget the cookie. Sockets that are open stay so until the session expires or is revoked."""
    response.delete_cookie(COOKIE, httponly=True, samesite="lax", secure=_by_tls(request))


@router.post("/revocations", status_code=204, dependencies=[Depends(from_here)], responses=refusals(*REFUSED_BY))
async def revoke(wish: Revoked, manager: Manager, identity: Annotated[Identity, Depends(get_identity)]) -> None:
    """Let a person's tokens, or one token, count no more, and end what they opened on every worker; for admins."""
    if not identity.admin:
        raise Forbidden("only a token with the claim admin may revoke others")
    revocation = Revocation(user=None if wish.user is None else user_id(wish.user), token=wish.token)
    await manager.note(LOG, revocation, user=identity.user)


@router.post("/tokens", status_code=201, dependencies=[Depends(from_here)], responses=refusals(*REFUSED_BY))
async def make_token(
    response: Response,
    manager: Manager,
    auth: Auth,
    identity: Annotated[Identity, Depends(get_identity)],
    wish: TokenWish | None = None,
) -> Token:
    """Make a token for whoever is signed in, for another tab or program; it allows and lasts no more than theirs."""
    if not auth.can_sign:
        raise Forbidden("tokens are made only where CHAT_SECRET_KEY is set")
    wish = wish or TokenWish()
    lasts: float = min(wish.ttl or manager.settings.token_ttl, manager.settings.token_ttl)
    if identity.expires is not None:
        lasts = min(lasts, identity.expires - time.time())
    rights = identity.rights if wish.room is None else _within(names.room_name(wish.room), identity)
    token, made = auth.issue(identity.user.id, lasts=lasts, name=identity.user.name, rights=rights)
    response.headers["Cache-Control"] = "no-store"
    return Token(token=token, expires=_when(made) or "")


def _by_tls(request: Request) -> bool:
    """Whether the browser came by TLS, which may end before us: then a proxy says so, or the page's own origin."""
    if request.url.scheme == "https":
        return True
    if "https" in request.headers.get("x-forwarded-proto", ""):
        _advise_to_trust()
    return request.headers.get("origin", "").lower().startswith("https://")


@cache
def _advise_to_trust() -> None:
    """Say once that a proxy is not believed."""
    logger.warning("a proxy says that it was asked by https, but is not in CHAT_TRUSTED_PROXIES: it is not believed")


def _within(room: str, identity: Identity) -> Rights:
    rights = identity.rights.within(room)
    if not any(rights.allow(room, action) for action in Action):
        raise Forbidden(f"your own credential does not allow anything in {room}")
    return rights


async def _whoever(request: Request, auth: Authenticator) -> Identity | None:
    credential = request.cookies.get(COOKIE)
    if not credential or not is_own(request):
        return None
    try:
        return await auth.identify(credential)
    except CredentialsUnavailable:
        raise
    except ChatError:
        return None


def _session(auth: Authenticator, identity: Identity | None) -> Session:
    session = Session(mode="signed" if auth.signed else "open", guests=auth.guests)
    if identity is not None:
        session.user = Person(id=identity.user.id, name=identity.user.name)
        session.expires = _when(identity)
    return session


def _when(identity: Identity) -> str | None:
    return None if identity.expires is None else protocol.timestamp(int(identity.expires * 1000))
