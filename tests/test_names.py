"""What rooms and people may be called."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.exceptions import InvalidName
from chat.names import DISPLAY_NAME_LENGTH, ROOM_NAME_LENGTH, display_name, room_name


@pytest.mark.parametrize("name", ["foo", "2", "a-b_c.d:e@f~g", "Übung", "комната", "部屋", "หอง", "कक्षा", "x" * 128])
def test_letters_and_digits_of_any_script_make_a_room(name: str) -> None:
    """Nobody has to write a room's name in Latin letters."""
    assert room_name(name) == unicodedata.normalize("NFC", name)


@pytest.mark.parametrize(
    "name", ["", "a b", "a/b", "../a", "a?b", "a#b", "a{b}", "a\nb", "a\x00b", "\u0301a", "😀", "a\u202eb", "x" * 129]
)
def test_other_characters_are_refused_with_the_rule(name: str) -> None:
    """Whoever is refused learns what is allowed."""
    with pytest.raises(InvalidName, match=r"1 to 128 letters, digits and -_\.:@~"):
        room_name(name)


def test_two_ways_to_type_a_room_are_one_room() -> None:
    """A composed and a decomposed accent look the same, so they are the same."""
    assert room_name("cafe\u0301") == room_name("caf\u00e9") == "caf\u00e9"


def test_the_length_counts_after_normalisation() -> None:
    """128 accented letters fit, however they were typed."""
    assert len(room_name("e\u0301" * ROOM_NAME_LENGTH)) == ROOM_NAME_LENGTH


@given(st.text(max_size=200))
def test_a_room_name_is_a_fixed_point_or_refused(text: str) -> None:
    """A normalised name is never normalised into another one, nor refused."""
    try:
        name = room_name(text)
    except InvalidName:
        return
    assert room_name(name) == name
    assert 1 <= len(name) <= ROOM_NAME_LENGTH


def test_a_display_name_is_one_line() -> None:
    """White space of any kind becomes one space, and none at the ends."""
    assert display_name("  Ada\n\t Lovelace\u3000 ") == "Ada Lovelace"


def test_a_display_name_cannot_turn_text_around() -> None:
    """Direction and control characters would let a name disguise what stands beside it."""
    assert display_name("A\u202ed\u200ba\x07\ufeff") == "Ada"


def test_a_display_name_keeps_joined_emoji() -> None:
    """The joiner holds a family together."""
    assert display_name("👨\u200d👩\u200d👧") == "👨\u200d👩\u200d👧"


@pytest.mark.parametrize("name", ["", "   ", "\u200b\u202e", "\u200d\u200d", "\n"])
def test_a_name_of_which_nothing_can_be_seen_is_refused(name: str) -> None:
    """An invisible person could be taken for nobody."""
    with pytest.raises(InvalidName, match="empty"):
        display_name(name)


def test_a_display_name_has_a_limit() -> None:
    """64 characters fit, 65 do not, and the error says so."""
    assert len(display_name("x" * DISPLAY_NAME_LENGTH)) == DISPLAY_NAME_LENGTH
    with pytest.raises(InvalidName, match=r"65 characters; at most 64"):
        display_name("x" * (DISPLAY_NAME_LENGTH + 1))


@given(st.text(max_size=100))
def test_a_display_name_is_a_fixed_point_or_refused(text: str) -> None:
    """What was made fit to be shown stays as it is."""
    try:
        name = display_name(text)
    except InvalidName:
        return
    assert display_name(name) == name
    assert name.isprintable() or "\u200d" in name
