"""People, not sockets, over all workers."""

from hypothesis import given
from hypothesis import strategies as st

from chat.protocol import LISTED_MEMBERS, User
from chat.roster import Change, Changes, Roster

ADA, GRACE = User("a", "Ada"), User("g", "Grace")
PEOPLE = {user.id: user for user in (ADA, GRACE, User("l", "Linus"))}
NOBODY = Change([], [])


def test_a_person_on_two_workers_is_one_person() -> None:
    """Who comes again, elsewhere, has not joined; who leaves one of them has not left."""
    roster = Roster()
    assert roster.enter("w1", [ADA]) == Change([ADA], [])
    assert roster.enter("w2", [ADA]) == NOBODY
    assert roster.leave("w1", ["a"]) == NOBODY
    assert (roster.count, roster.listed(), roster.workers()) == (1, [ADA], {"w2"})
    assert roster.leave("w2", ["a"]) == Change([], [ADA])
    assert roster.count == 0


def test_who_was_not_here_does_not_leave() -> None:
    """Told twice, or by a worker that knows nothing."""
    roster = Roster()
    assert roster.leave("w1", ["a"]) == NOBODY
    roster.enter("w1", [ADA])
    assert roster.leave("w2", ["a"]) == NOBODY
    assert roster.count == 1


def test_a_new_name_is_told() -> None:
    """By joining again."""
    roster = Roster()
    roster.enter("w1", [ADA])
    assert roster.enter("w2", [User("a", "Countess")]).joined == [User("a", "Countess")]
    assert roster.count == 1


def test_a_large_room_is_counted_and_not_listed() -> None:
    """Above 200."""
    roster, changes = Roster(), Changes()
    changes.add(roster.enter("w1", [User(str(number), "x") for number in range(LISTED_MEMBERS)]))
    assert len(roster.listed()) == LISTED_MEMBERS
    changes.add(roster.enter("w1", [ADA]))
    assert (roster.listed(), roster.count) == ([], LISTED_MEMBERS + 1)
    told = changes.sum(roster)
    assert told is not None
    assert (told.joined, told.left, told.count) == ([], [], LISTED_MEMBERS + 1)


def test_the_truth_about_others_is_taken_over() -> None:
    """After an outage: what is said of the own worker counts for nothing, it knows better itself."""
    roster = Roster()
    roster.enter("own", [ADA])
    roster.enter("other", [GRACE])
    change = roster.become([("own", GRACE), ("third", User("l", "Linus"))], own="own")
    assert change == Change([User("l", "Linus")], [GRACE])
    assert {user.name for user in roster.listed()} == {"Ada", "Linus"}


def test_who_came_and_went_meanwhile_is_not_told() -> None:
    """Nor who went and came back."""
    roster, changes = Roster(), Changes()
    roster.enter("w", [ADA])
    changes.add(roster.enter("w", [GRACE]))
    changes.add(roster.leave("w", ["g"]))
    changes.add(roster.leave("w", ["a"]))
    changes.add(roster.enter("w", [ADA]))
    assert changes.sum(roster) is None


def test_changes_are_told_once() -> None:
    """With the number of people at the time of telling."""
    roster, changes = Roster(), Changes()
    assert changes.add(roster.enter("w", [ADA]))
    assert not changes.add(roster.enter("w", [GRACE]))
    told = changes.sum(roster)
    assert told is not None
    assert (told.joined, told.left, told.count) == ([ADA, GRACE], [], 2)
    assert changes.sum(roster) is None


STEPS = st.lists(
    st.tuples(st.sampled_from(["enter", "leave", "sum"]), st.sampled_from(["w1", "w2"]), st.sampled_from(list(PEOPLE)))
)


@given(STEPS)
def test_who_follows_the_changes_knows_who_is_here(steps: list[tuple[str, str, str]]) -> None:
    """Whatever the order, joined and left add up to the list, and count is its length."""
    roster, changes = Roster(), Changes()
    known: set[str] = set()
    for step, worker, id in [*steps, ("sum", "", "")]:
        if step == "enter":
            changes.add(roster.enter(worker, [PEOPLE[id]]))
        elif step == "leave":
            changes.add(roster.leave(worker, [id]))
        elif (told := changes.sum(roster)) is not None:
            assert not known & {user.id for user in told.joined}
            known |= {user.id for user in told.joined}
            assert known >= {user.id for user in told.left}
            known -= {user.id for user in told.left}
            assert told.count == len(known)
    assert known == {user.id for user in roster.listed()}
