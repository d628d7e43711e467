"""What a credential allows, by patterns of rooms."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.rights import Action, Rights, matches


@given(st.text("ab*", max_size=8), st.text("ab", max_size=8))
def test_a_star_stands_for_any_characters(pattern: str, room: str) -> None:
    """As in a regular expression, which could be made to take for ever."""
    expected = re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), room) is not None
    assert matches(pattern, room) is expected


def test_nothing_else_is_special() -> None:
    assert not matches("team.", "teams")
    assert not matches("[a]", "a")
    assert not matches("?", "a")


@pytest.mark.parametrize(
    ("claim", "room", "expected"),
    [
        (None, "anything", {"subscribe", "publish"}),
        ([], "anything", set()),
        ({}, "anything", set()),
        (["tea"], "tea", {"subscribe", "publish"}),
        (["tea"], "teapot", set()),
        ({"*": ["subscribe"], "team:*": ["publish"]}, "team:red", {"subscribe", "publish"}),
        ({"*": ["subscribe"], "team:*": ["publish"]}, "news", {"subscribe"}),
        ({"news": []}, "news", set()),
    ],
)
def test_a_claim_allows_what_one_of_its_patterns_allows(claim: Any, room: str, expected: set[str]) -> None:
    rights = Rights.parse(claim)
    assert {action for action in Action if rights.allow(room, action)} == expected
    again = Rights.parse(rights.claim())
    assert {action for action in Action if again.allow(room, action)} == expected


@pytest.mark.parametrize(
    "claim",
    [
        "tea",
        1,
        True,
        [1],
        {"tea": "publish"},
        {"tea": ["sing"]},
        {"tea": [["publish"]]},
        [f"x{n}" for n in range(101)],
        {"tea": None},
    ],
)
def test_a_claim_that_cannot_be_read_allows_nothing(claim: Any) -> None:
    """It is an error, and not taken for one that is absent."""
    with pytest.raises(ValueError, match="rooms"):
        Rights.parse(claim)


def test_rights_for_one_room_are_no_more_than_there_were() -> None:
    rights = Rights.parse({"*": ["subscribe"]}).within("tea")
    assert rights.allow("tea", Action.SUBSCRIBE)
    assert not rights.allow("tea", Action.PUBLISH)
    assert not rights.allow("coffee", Action.SUBSCRIBE)
