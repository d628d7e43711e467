"""Who is this, in open mode."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.auth import open_user
from chat.exceptions import InvalidName


def test_the_same_credential_is_the_same_person() -> None:
    """However many tabs, whichever worker."""
    assert open_user("secret") == open_user("secret")
    assert open_user("secret").id != open_user("Secret").id


@given(st.text(min_size=8))
def test_the_credential_is_never_part_of_the_user(credential: str) -> None:
    """Everybody in the room sees id and name."""
    user = open_user(credential)
    assert credential not in user.id + user.name


def test_a_guest_is_told_from_others_by_four_characters() -> None:
    """Without a name there is one to be shown all the same."""
    user = open_user("secret")
    assert user.name == f"Guest {user.id[:4]}"


def test_a_name_is_made_fit_to_be_shown() -> None:
    """By the rules for display names."""
    assert open_user("secret", " Ada\n").name == "Ada"
    with pytest.raises(InvalidName):
        open_user("secret", " ")
