"""Signing in and out, and tokens for whoever is signed in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from chat import Settings, __version__, create_app
from tests.issuer import SECRET, token

FOREIGN = {"Origin": "https://elsewhere.example"}
OWN = {"Origin": "http://testserver"}


def client_of(**settings: Any) -> TestClient:
    return TestClient(create_app(Settings.load(**settings)))


@pytest.fixture
def client() -> Iterator[TestClient]:
    """Of a service that signs, and lets guests in."""
    with client_of(secret_key=SECRET, guests=True) as client:
        yield client


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_a_guest_signs_in_and_out(client: TestClient) -> None:
    nobody = {"mode": "signed", "guests": True, "user": None, "expires": None, "version": __version__}
    assert client.get("/session").json() == nobody
    signed_in = client.post("/session", json={"name": " Ada "}, headers=OWN)
    assert signed_in.status_code == 201
    assert signed_in.json()["user"]["name"] == "Ada"
    assert client.get("/session").json() == signed_in.json()
    assert client.get("/items/tea/members").status_code == 200
    assert client.delete("/session", headers=OWN).status_code == 204
    assert client.get("/session").json()["user"] is None
    assert client.get("/items/tea/members").status_code == 401


def test_a_guest_under_another_name_is_the_same_person(client: TestClient) -> None:
    first = client.post("/session", json={"name": "Ada"}).json()["user"]
    second = client.post("/session", json={"name": "Ada L."}).json()["user"]
    assert (second["id"], second["name"]) == (first["id"], "Ada L.")
    client.cookies.clear()
    assert client.post("/session", json={"name": "Ada"}).json()["user"]["id"] != first["id"]


@pytest.mark.parametrize("address", ["http://chat.example", "https://chat.example"])
def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(address: str) -> None:
    """And never sent in clear text, if there is TLS."""
    with TestClient(create_app(Settings.load(secret_key=SECRET, guests=True)), base_url=address) as client:
        said = client.post("/session", json={"name": "Ada"}).headers["set-cookie"]
    attributes = {attribute.strip() for attribute in said.lower().split(";")[1:]}
    assert {"httponly", "samesite=lax", "path=/"} <= attributes
    assert ("secure" in attributes) is address.startswith("https")
    assert not any(attribute.startswith("domain") for attribute in attributes)


def test_a_token_can_be_put_into_the_cookie(client: TestClient) -> None:
    assert client.post("/session", json={"token": token(name="Ada")}).json()["user"] == {"id": "ada", "name": "Ada"}
    assert client.get("/session").json()["user"]["id"] == "ada"
    assert client.post("/session", json={"token": "x"}).status_code == 401
    assert client.post("/session", json={"token": "x" * 5000}).status_code == 401


def test_a_cookie_that_is_no_good_is_nobody(client: TestClient) -> None:
    client.cookies.set("session", token(exp=1))
    assert client.get("/session").json()["user"] is None
    assert client.get("/items/tea/members").json() == {"code": 4401, "message": "the token has expired"}


@pytest.mark.parametrize("name", ["", " ", "x" * 65, "\u200b", None])
def test_a_name_that_cannot_be_shown_is_refused(client: TestClient, name: str | None) -> None:
    assert client.post("/session", json={"name": name}).status_code == 422


def test_no_other_site_signs_anybody_in_or_out(client: TestClient) -> None:
    client.post("/session", json={"name": "Ada"})
    assert client.post("/session", json={"name": "Eve"}, headers=FOREIGN).status_code == 403
    assert client.delete("/session", headers=FOREIGN).status_code == 403
    assert client.post("/tokens", headers=FOREIGN).status_code == 403
    assert client.get("/session").json()["user"]["name"] == "Ada"
    assert client.get("/session", headers=FOREIGN).json()["user"] is None


def test_without_guests_a_name_is_not_enough() -> None:
    with client_of(secret_key=SECRET) as client:
        assert client.get("/session").json()["guests"] is False
        assert client.post("/session", json={"name": "Ada"}).status_code == 403


def test_in_open_mode_any_token_makes_a_session_and_nothing_is_signed() -> None:
    with client_of() as client:
        assert client.get("/session").json()["mode"] == "open"
        user = client.post("/session", json={"token": "secret"}).json()["user"]
        assert client.get("/session").json()["user"] == user
        assert client.post("/session", json={"name": "Ada"}).status_code == 403
        assert client.post("/tokens").status_code == 403


def test_a_token_is_for_the_same_person(client: TestClient) -> None:
    user = client.post("/session", json={"name": "Ada"}).json()["user"]
    made = client.post("/tokens").json()["token"]
    client.cookies.clear()
    client.post("/session", json={"token": made})
    assert client.get("/session").json()["user"] == user


def test_a_token_allows_and_lasts_no_more_than_who_asks_for_it(client: TestClient) -> None:
    """And no more than was asked for."""
    mine = token(rooms={"team:*": ["subscribe"]}, admin=True)
    made = client.post("/tokens", json={"ttl": 9999999}, headers=bearer(mine)).json()
    expires = client.post("/session", json={"token": mine}).json()["expires"]
    client.cookies.clear()
    assert made["expires"] <= expires
    reader = bearer(made["token"])
    assert client.get("/items/team:red/messages", headers=reader).status_code == 200
    assert client.post("/items/team:red/messages", headers=reader, json={"text": "x"}).status_code == 403
    assert client.get("/items/tea/messages", headers=reader).status_code == 403
    ticket = client.post("/tokens", json={"room": "team:red"}, headers=bearer(mine)).json()["token"]
    assert client.get(f"/items/team:red/messages?token={ticket}").status_code == 200
    assert client.get(f"/items/team:blue/messages?token={ticket}").status_code == 403
    assert client.post("/tokens", json={"room": "tea"}, headers=bearer(mine)).status_code == 403
    assert client.post("/tokens", json={"room": "a b"}, headers=bearer(mine)).status_code == 422


def test_nobody_gets_a_token_for_nothing(client: TestClient) -> None:
    answer = client.post("/tokens")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


def test_answers_that_hold_a_credential_are_not_kept(client: TestClient) -> None:
    assert client.post("/session", json={"name": "Ada"}).headers["cache-control"] == "no-store"
    assert client.post("/tokens").headers["cache-control"] == "no-store"
