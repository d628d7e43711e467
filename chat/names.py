"""What rooms and people may be called."""

from __future__ import annotations

import unicodedata

from chat.exceptions import InvalidName

ROOM_NAME_LENGTH = 128  # characters, after normalisation
ROOM_NAME_RULE = f"1 to {ROOM_NAME_LENGTH} letters, digits and -_.:@~"
DISPLAY_NAME_LENGTH = 64  # characters

_ROOM_PUNCTUATION = frozenset("-_.:@~")


def room_name(item_id: str) -> str:
    """Return the room's name in NFC, so that two ways to type it are one room; raise `InvalidName`.

    Letters and decimal digits of any script are allowed. So are combining marks after the first
    character, without which words of, say, Hindi or Thai cannot be written.
    """
    name = unicodedata.normalize("NFC", item_id)
    if not name:
        raise InvalidName(f"the room has no name; a room name is {ROOM_NAME_RULE}")
    if len(name) > ROOM_NAME_LENGTH:
        raise InvalidName(f"the room name has {len(name)} characters; a room name is {ROOM_NAME_RULE}")
    for position, character in enumerate(name):
        if character not in _ROOM_PUNCTUATION and not _belongs_to_a_word(character, first=position == 0):
            raise InvalidName(f"{character!a} cannot stand in a room name; a room name is {ROOM_NAME_RULE}")
    return name


def display_name(name: str) -> str:
    """Return a person's name fit to be shown to others: one line, no control or direction characters.

    Raises `InvalidName` if nothing is left of it, or more than 64 characters.
    """
    visible = "".join(" " if c.isspace() else c for c in unicodedata.normalize("NFC", name))
    visible = "".join(
        c for c in visible if unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Co", "Cn"} or c == "\u200d"
    )
    visible = " ".join(visible.split())
    if not visible.strip("\u200d"):
        raise InvalidName(f"the name is empty; it needs 1 to {DISPLAY_NAME_LENGTH} visible characters")
    if len(visible) > DISPLAY_NAME_LENGTH:
        raise InvalidName(f"the name has {len(visible)} characters; at most {DISPLAY_NAME_LENGTH} are allowed")
    return visible


def _belongs_to_a_word(character: str, *, first: bool) -> bool:
    category = unicodedata.category(character)
    return category[0] == "L" or category == "Nd" or (category[0] == "M" and not first)
