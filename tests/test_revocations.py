"""Which people and tokens are not let in any more."""

from __future__ import annotations

from typing import Any

from chat import protocol
from chat.events import Publication
from chat.protocol import User
from chat.revocations import Revocation, Revocations
from chat.settings import REVOCATIONS


def noted(at: int, data: Any) -> Publication:
    return Publication("e", 1, at * 1000, "-", protocol.encode(protocol.body(User("root", "Root"), data=data)))


def test_a_person_is_revoked_up_to_now() -> None:
    """What is issued afterwards counts, what does not say when it was issued does not."""
    revocations = Revocations()
    revocations.take(noted(100, Revocation(user="ada")))
    assert revocations.has("ada", None, 99)
    assert revocations.has("ada", None, 100)
    assert revocations.has("ada", "t", None)
    assert not revocations.has("ada", None, 101)
    assert not revocations.has("bob", None, 99)


def test_a_token_is_revoked_for_ever() -> None:
    revocations = Revocations()
    revocations.take(noted(100, Revocation(token="t")))
    assert revocations.has("ada", "t", 101)
    assert not revocations.has("ada", "u", 99)
    assert not revocations.has("t", None, 99)


def test_who_was_let_in_is_told_until_it_leaves() -> None:
    revocations = Revocations()
    told: list[str] = []
    ends = [
        revocations.watch("ada", "t", lambda: told.append("ada by t")),
        revocations.watch("ada", "u", lambda: told.append("ada by u")),
        revocations.watch("bob", None, lambda: told.append("bob")),
    ]
    revocations.take(noted(100, Revocation(token="t")))
    revocations.take(noted(100, Revocation(user="ada")))
    assert sorted(told) == ["ada by t", "ada by t", "ada by u"]
    for end in ends:
        end()
    revocations.take(noted(100, Revocation(user="bob")))
    assert "bob" not in told
    assert not revocations._watchers


def test_what_cannot_be_read_is_a_later_versions() -> None:
    revocations = Revocations()
    unreadable: list[Any] = ["x", 7, [], {"user": 7}]
    for data in unreadable:
        revocations.take(noted(100, data))
    assert not revocations.has("7", "7", None)


def test_no_more_is_remembered_than_there_is_room_for() -> None:
    revocations = Revocations()
    for number in range(REVOCATIONS + 10):
        revocations._revoked[f"user {number}"] = 0.0
    revocations.take(noted(100, Revocation(user="ada")))
    assert len(revocations._revoked) == REVOCATIONS
    assert revocations.has("ada", None, 99)
