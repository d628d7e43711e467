"""Which tokens are good, in signed mode."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st

from chat.auth import LEEWAY, Authenticator, user_id
from chat.exceptions import CredentialsUnavailable, InvalidCredential, SettingsError
from chat.jwks import AGAIN, FRESH, KeySet
from chat.rights import Action
from chat.settings import Settings
from tests.issuer import KEYS, OTHER_SECRET, SECRET, Issuer, forged, token

NOW = int(time.time())


def authenticator(**settings: Any) -> Authenticator:
    return Authenticator(Settings.load(**{"secret_key": SECRET, **settings}))


async def test_a_good_token_says_who_and_what() -> None:
    rooms = {"tea": ["subscribe"]}
    identity = await authenticator().identify(token(name=" Ada ", rooms=rooms, jti="7", admin=True, exp=NOW + 3600))
    assert (identity.user.id, identity.user.name) == ("ada", "Ada")
    assert identity.rights.allow("tea", Action.SUBSCRIBE)
    assert not identity.rights.allow("tea", Action.PUBLISH)
    assert (identity.expires, identity.token_id, identity.admin) == (NOW + 3600, "7", True)


async def test_a_name_in_the_token_cannot_be_changed_and_a_missing_one_can_be_given() -> None:
    assert (await authenticator().identify(token(name="Ada"), "Eve")).user.name == "Ada"
    assert (await authenticator().identify(token(), "Ada")).user.name == "Ada"
    assert (await authenticator().identify(token())).user.name == "Guest ada"


@pytest.mark.parametrize("admin", [1, "true", None, [True]])
async def test_nobody_is_admin_by_accident(admin: Any) -> None:
    assert not (await authenticator().identify(token(admin=admin))).admin


BAD = {
    "nothing": "",
    "no token": "secret",
    "dots": "..",
    "null": "null.null.null",
    "long": "x" * 8193,
    "expired": token(exp=NOW - LEEWAY - 1),
    "no end": token(exp=None),
    "an end that is no number": forged({"alg": "HS256"}, {"sub": "ada", "exp": "soon"}, SECRET.encode()),
    "an end that is no time": forged({"alg": "HS256"}, {"sub": "ada", "exp": 1e400}, SECRET.encode()),
    "nobody": token(sub=None),
    "an empty name": token(sub=""),
    "a long name": token(sub="x" * 257),
    "a number as a name": forged({"alg": "HS256"}, {"sub": 7, "exp": NOW + 3600}, SECRET.encode()),
    "not yet": token(nbf=NOW + 3600),
    "rooms that cannot be read": token(rooms="*"),
    "a name to show that is a number": token(name=7),
    "another secret": token(OTHER_SECRET),
    "another hash": token(SECRET * 2, algorithm="HS512"),
    "unsigned": token(None, algorithm="none"),
    "unsigned, in capitals": forged({"alg": "NONE"}, {"sub": "ada", "exp": NOW + 3600}),
    "unsigned, but said to be": forged({"alg": "HS256"}, {"sub": "ada", "exp": NOW + 3600}),
    "no algorithm": forged({}, {"sub": "ada", "exp": NOW + 3600}, SECRET.encode()),
    "an algorithm that is a list": forged({"alg": ["HS256"]}, {"sub": "ada", "exp": NOW + 3600}, SECRET.encode()),
    "a demand that is not known": forged(
        {"alg": "HS256", "crit": ["x"], "x": 1}, {"sub": "ada", "exp": NOW + 3600}, SECRET.encode()
    ),
    "a key nobody gave": token(KEYS["RS256"], algorithm="RS256"),
}


@pytest.mark.parametrize("kind", BAD)
async def test_a_bad_token_is_refused(kind: str) -> None:
    """By a sentence in which it does not stand."""
    with pytest.raises(InvalidCredential) as refusal:
        await authenticator().identify(BAD[kind])
    assert not BAD[kind] or BAD[kind] not in str(refusal.value)


async def test_a_changed_token_is_refused() -> None:
    """Wherever it was changed."""
    good = token()
    header, claims, signature = good.split(".")
    for bad in (f"{header}.{claims}.{signature[:-4]}AAAA", f"{header}.{claims}A.{signature}", f"{good}.{signature}"):
        with pytest.raises(InvalidCredential):
            await authenticator().identify(bad)


@given(st.text() | st.binary().map(lambda data: data.decode("latin-1")))
async def test_whatever_is_shown_is_refused_in_good_order(shown: str) -> None:
    with pytest.raises(InvalidCredential):
        await authenticator().identify(shown)


@given(
    st.dictionaries(
        st.sampled_from(["alg", "kid", "crit", "typ", "b64", "jwk"]), st.none() | st.text() | st.integers()
    ),
    st.dictionaries(
        st.sampled_from(["sub", "exp", "nbf", "iat", "aud", "iss", "name", "rooms", "jti"]),
        st.recursive(st.none() | st.integers() | st.floats() | st.text(), st.lists),
    ),
)
async def test_whatever_is_signed_is_read_or_refused_in_good_order(header: Any, claims: Any) -> None:
    """A secret in the wrong hands is one thing, a crash another."""
    shown = forged({"alg": "HS256", **header}, {"sub": "ada", "exp": NOW + 3600, **claims}, SECRET.encode())
    with suppress(InvalidCredential):
        await authenticator().identify(shown)


async def test_clocks_may_differ_by_a_little() -> None:
    await authenticator().identify(token(exp=int(time.time()) - int(LEEWAY) + 5))
    await authenticator().identify(token(nbf=int(time.time()) + int(LEEWAY) - 5))


async def test_secrets_rotate() -> None:
    """The first signs, all are accepted."""
    rotated = authenticator(secret_key=f"{OTHER_SECRET},{SECRET}")
    assert (await rotated.identify(token(SECRET))).user.id == "ada"
    made, _ = rotated.issue("ada", lasts=60)
    assert (await authenticator(secret_key=OTHER_SECRET).identify(made)).user.id == "ada"
    with pytest.raises(InvalidCredential):
        await authenticator().identify(made)


def test_a_person_has_one_id() -> None:
    """One that can stand in a key; whatever the issuer calls people."""
    assert user_id("ada@example.org") == "ada@example.org"
    assert user_id("a:b") != user_id("a") != user_id("a:b:c")
    assert ":" not in user_id("a:b")
    assert user_id(user_id("a:b")) == user_id("a:b")


async def test_what_is_made_is_good_and_says_the_same() -> None:
    made, identity = authenticator().issue("ada", lasts=60, name="Ada", admin=True)
    assert await authenticator().identify(made) == identity


def test_guests_need_a_secret() -> None:
    with pytest.raises(SettingsError, match="CHAT_SECRET_KEY"):
        Authenticator(Settings.load(guests=True))
    with pytest.raises(SettingsError, match="CHAT_SECRET_KEY"):
        Authenticator(Settings.load()).issue("ada", lasts=60)


def test_a_setting_that_would_do_nothing_is_refused() -> None:
    with pytest.raises(SettingsError, match="CHAT_JWKS_URL"):
        authenticator(jwks_audience="chat")


# --- keys of somebody else ---


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer() as issuer:
        yield issuer


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("algorithm", KEYS)
async def test_a_token_by_a_published_key_is_good(issuer: Issuer, algorithm: str) -> None:
    issuer.published["k"] = (algorithm, KEYS[algorithm])
    by_keys = authenticator(secret_key="", jwks_url=issuer.url)
    assert by_keys.signed
    assert (await by_keys.identify(issuer.token("k"))).user.id == "ada"
    with pytest.raises(InvalidCredential):
        await by_keys.identify(issuer.token("k", exp=NOW - 3600))
    with pytest.raises(InvalidCredential):
        await by_keys.identify(token())


async def test_a_public_key_is_no_secret(issuer: Issuer) -> None:
    """The oldest trick: sign by HMAC with what everybody can read."""
    issuer.published["k"] = ("RS256", KEYS["RS256"])
    pem = (
        KEYS["RS256"]
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    for header in ({"alg": "HS256", "kid": "k"}, {"alg": "HS256"}):
        with pytest.raises(InvalidCredential):
            await authenticator(jwks_url=issuer.url).identify(forged(header, {"sub": "ada", "exp": NOW + 3600}, pem))


async def test_the_algorithm_is_the_keys_not_the_tokens(issuer: Issuer) -> None:
    issuer.published["k"] = ("RS256", KEYS["RS256"])
    other = token(KEYS["RS256"], algorithm="PS256", headers={"kid": "k"})
    with pytest.raises(InvalidCredential):
        await authenticator(jwks_url=issuer.url).identify(other)


async def test_audience_and_issuer_are_held_to(issuer: Issuer) -> None:
    issuer.published["k"] = ("ES256", KEYS["ES256"])
    strict = authenticator(jwks_url=issuer.url, jwks_audience="chat", jwks_issuer="https://id.example")
    await strict.identify(issuer.token("k", aud=["web", "chat"], iss="https://id.example"))
    for claims in ({"aud": "web", "iss": "https://id.example"}, {"aud": "chat"}, {"iss": "https://id.example"}, {}):
        with pytest.raises(InvalidCredential):
            await strict.identify(issuer.token("k", **claims))
    await strict.identify(token())  # a token by our own secret needs neither


async def test_keys_are_read_once_and_again_when_they_are_old_or_a_new_one_is_shown(issuer: Issuer) -> None:
    clock = Clock()
    keys = KeySet(issuer.url, clock=clock)
    issuer.published["old"] = ("ES256", KEYS["ES256"])
    for _ in range(5):
        assert await keys.key("old") is not None
    assert issuer.asked == 1
    issuer.published["new"] = ("EdDSA", KEYS["EdDSA"])
    for _ in range(5):
        assert await keys.key("new") is None  # whoever shows keys that do not exist is not to make us ask
    assert issuer.asked == 1
    clock.now += AGAIN
    assert await keys.key("new") is not None
    del issuer.published["old"]
    assert await keys.key("old") is not None
    clock.now += FRESH
    assert await keys.key("old") is None
    assert issuer.asked == 3


async def test_while_the_keys_cannot_be_read_the_known_ones_count(issuer: Issuer) -> None:
    clock = Clock()
    keys = KeySet(issuer.url, clock=clock)
    issuer.broken = True
    with pytest.raises(CredentialsUnavailable):
        await keys.key("k")
    issuer.broken = False
    issuer.published["k"] = ("ES256", KEYS["ES256"])
    clock.now += AGAIN
    assert await keys.key("k") is not None
    issuer.broken = True
    clock.now += FRESH
    assert await keys.key("k") is not None


async def test_a_token_need_not_name_the_only_key(issuer: Issuer) -> None:
    issuer.published["k"] = ("ES256", KEYS["ES256"])
    keys = KeySet(issuer.url)
    assert await keys.key(None) is not None
    issuer.published["l"] = ("EdDSA", KEYS["EdDSA"])
    assert await KeySet(issuer.url).key(None) is None


def test_what_was_revoked_does_not_count_again() -> None:
    """Sessions and tokens of our own end before that is forgotten; 0 forgets nothing."""
    Authenticator(Settings.load(secret_key=SECRET, revocation_ttl=0))
    Authenticator(Settings.load(secret_key=SECRET, revocation_ttl=604800))
    for longer in ({"revocation_ttl": 604799}, {"session_ttl": 2592001}, {"token_ttl": 2592001}):
        with pytest.raises(SettingsError, match="CHAT_REVOCATION_TTL"):
            Authenticator(Settings.load(secret_key=SECRET, **longer))


async def test_nobody_is_let_in_before_it_is_known_who_is_revoked() -> None:
    authenticator = Authenticator(Settings.load(secret_key=SECRET))
    token, _ = authenticator.issue("ada", lasts=60)
    authenticator.revocations.known = False
    with pytest.raises(CredentialsUnavailable):
        await authenticator.identify(token)
    authenticator.revocations.known = True
    assert (await authenticator.identify(token)).user.id == "ada"
