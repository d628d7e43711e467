"""What every broker promises; see `chat.broker.base.Broker`."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from chat import protocol
from chat.broker import Broker
from chat.broker.base import Quota
from chat.events import Event, Page, Publication, Signal
from tests.broker.conftest import Open, subscribed
from tests.publications import ADA
from tests.servers import until

NextEvent = Callable[[], Awaitable[Event]]


def body(text: str = "hello") -> bytes:
    return protocol.encode(protocol.body(ADA, text))


def offsets(page: Page) -> list[int]:
    return [publication.offset for publication in page.publications]


async def publications(next_event: NextEvent, count: int) -> list[Publication]:
    """Return the next `count` publications, whatever is told of the link in between."""
    heard: list[Publication] = []
    async with asyncio.timeout(10):
        while len(heard) < count:
            if isinstance(event := await next_event(), Publication):
                heard.append(event)
    return heard


async def filled(open_broker: Open, count: int, **settings: int) -> Broker:
    broker = await open_broker(**settings)
    for number in range(1, count + 1):
        await broker.publish("room", body(str(number)))
    return broker


# --- order ---


async def test_offsets_rise_by_one(broker: Broker) -> None:
    """From one, in one epoch."""
    receipts = [await broker.publish("room", body()) for _ in range(5)]
    assert [receipt.offset for receipt in receipts] == [1, 2, 3, 4, 5]
    assert len({receipt.epoch for receipt in receipts}) == 1
    assert not any(receipt.duplicate for receipt in receipts)


async def test_a_subscriber_hears_what_is_said(broker: Broker) -> None:
    """Body, author's connection, time and place in the order."""
    async with subscribed(broker, "room") as next_event:
        said = body("hé")
        receipt = await broker.publish("room", said, origin="worker-1")
        (heard,) = await publications(next_event, 1)
    assert (heard.body, heard.origin, heard.offset, heard.epoch) == (said, "worker-1", 1, receipt.epoch)
    assert heard.content.text == "hé"
    assert heard.at > 1_600_000_000_000


async def test_all_subscribers_hear_concurrent_publishers_in_one_order(broker: Broker) -> None:
    """The order is that of the offsets, which are those of the receipts."""
    async with subscribed(broker, "room") as one, subscribed(broker, "room") as other:
        receipts = await asyncio.gather(*(broker.publish("room", body(str(n))) for n in range(300)))
        heard = [await publications(one, 300), await publications(other, 300)]
    for publications_heard in heard:
        assert [publication.offset for publication in publications_heard] == list(range(1, 301))
    said_at = {receipt.offset: str(n) for n, receipt in enumerate(receipts)}
    assert [p.content.text for p in heard[0]] == [said_at[offset] for offset in range(1, 301)]


async def test_rooms_do_not_mix(broker: Broker) -> None:
    """Each has an order and an epoch of its own, and its subscribers hear nothing else."""
    async with subscribed(broker, "room") as next_event:
        other = await broker.publish("other", body("no"))
        receipt = await broker.publish("room", body("yes"))
        (heard,) = await publications(next_event, 1)
    assert heard.content.text == "yes"
    assert (receipt.offset, other.offset) == (1, 1)
    assert receipt.epoch != other.epoch


@pytest.mark.parametrize("room", ["部屋", "a.b:c@d~e-f_g", "caf\u00e9", "x" * 128])
async def test_any_allowed_name_is_a_room(broker: Broker, room: str) -> None:
    """Whatever the broker makes of it."""
    async with subscribed(broker, room) as next_event:
        await broker.publish(room, body("here"))
        (heard,) = await publications(next_event, 1)
    assert heard.content.text == "here"
    assert offsets(await broker.history(room)) == [1]


async def test_nothing_is_missed_once_the_subscription_stands(broker: Broker) -> None:
    """A message published right behind is heard, time after time."""
    for number in range(1, 30):
        async with subscribed(broker, "room") as next_event:
            await broker.publish("room", body())
            (heard,) = await publications(next_event, 1)
        assert heard.offset == number


async def test_a_large_message_arrives_whole(broker: Broker) -> None:
    """One that does not fit into a single read."""
    said = body("x" * 3_000_000)
    async with subscribed(broker, "room") as next_event:
        await broker.publish("room", said)
        (heard,) = await publications(next_event, 1)
    assert heard.body == said
    assert (await broker.history("room")).publications[0].body == said


# --- idempotency ---


async def test_the_same_key_makes_one_message(broker: Broker) -> None:
    """The second answer is the first, marked; subscribers hear one message."""
    async with subscribed(broker, "room") as next_event:
        first = await broker.publish("room", body("first"), key="k")
        again = await broker.publish("room", body("again"), key="k")
        await broker.publish("room", body("next"), key="l")
        heard = await publications(next_event, 2)
    assert (again.epoch, again.offset, again.duplicate) == (first.epoch, first.offset, True)
    assert [publication.content.text for publication in heard] == ["first", "next"]


async def test_the_same_key_at_the_same_time_makes_one_message(broker: Broker) -> None:
    """Twenty at once: one is first."""
    receipts = await asyncio.gather(*(broker.publish("room", body(), key="k") for _ in range(20)))
    assert {receipt.offset for receipt in receipts} == {1}
    assert [receipt.duplicate for receipt in receipts].count(False) == 1


async def test_a_key_belongs_to_its_room(broker: Broker) -> None:
    """What is remembered in one room says nothing of another."""
    await broker.publish("room", body(), key="k")
    assert not (await broker.publish("other", body(), key="k")).duplicate


@pytest.mark.parametrize("key", ["a b", "{x}", "a\nb\r\n", "ключ", "u:1:2", "*", "\x00"])
async def test_any_string_is_a_key(broker: Broker, key: str) -> None:
    """Clients choose them."""
    await broker.publish("room", body(), key=key)
    assert (await broker.publish("room", body(), key=key)).duplicate


async def test_a_key_is_forgotten_in_time(open_broker: Open) -> None:
    """After `idempotency_ttl` seconds the same key is a new message."""
    broker = await open_broker(idempotency_ttl=1)
    await broker.publish("room", body(), key="k")

    async def forgotten() -> bool:
        return not (await broker.publish("room", body(), key="k")).duplicate

    assert not await forgotten()
    await until(forgotten, "the key is forgotten", within=5)


async def test_keys_can_be_switched_off(open_broker: Open) -> None:
    """With an `idempotency_ttl` of 0 nothing is remembered."""
    broker = await open_broker(idempotency_ttl=0)
    await broker.publish("room", body(), key="k")
    assert not (await broker.publish("room", body(), key="k")).duplicate


# --- the log ---


async def test_a_new_room_has_an_epoch_that_stays(broker: Broker) -> None:
    """Whoever asks first, and whatever is said later."""
    position = await broker.position("room")
    receipt = await broker.publish("room", body())
    assert position.offset == 0
    assert (receipt.epoch, receipt.offset) == (position.epoch, 1)
    assert await broker.position("room") == (position.epoch, 1)


async def test_an_empty_log_has_an_empty_page(broker: Broker) -> None:
    """And a position all the same."""
    page = await broker.history("room")
    assert page.publications == []
    assert page.position == await broker.position("room")


async def test_history_is_what_was_said(broker: Broker) -> None:
    """The publications in the log are those that were heard."""
    async with subscribed(broker, "room") as next_event:
        await broker.publish("room", body("a"), origin="w-1")
        (heard,) = await publications(next_event, 1)
    (kept,) = (await broker.history("room")).publications
    assert [getattr(kept, field) for field in ("epoch", "offset", "at", "origin", "body")] == [
        getattr(heard, field) for field in ("epoch", "offset", "at", "origin", "body")
    ]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"limit": 3}, [8, 9, 10]),
        ({"limit": 100}, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        ({"after": 0, "limit": 3}, [1, 2, 3]),
        ({"after": 4, "limit": 3}, [5, 6, 7]),
        ({"after": 8, "limit": 5}, [9, 10]),
        ({"after": 10}, []),
        ({"after": 99}, []),
        ({"before": 11, "limit": 2}, [9, 10]),
        ({"before": 5, "limit": 3}, [2, 3, 4]),
        ({"before": 3, "limit": 5}, [1, 2]),
        ({"before": 1}, []),
        ({"before": 0}, []),
        ({"before": 99, "limit": 2}, [9, 10]),
    ],
)
async def test_history_is_read_in_pages(open_broker: Open, query: dict[str, int], expected: list[int]) -> None:
    """Forwards from an offset, backwards from an offset, or the newest; oldest first, bounds exclusive."""
    broker = await filled(open_broker, 10)
    page = await broker.history("room", **query)
    assert offsets(page) == expected
    assert page.position.offset == 10


async def test_the_log_is_capped(open_broker: Open) -> None:
    """It keeps the newest, and offsets go on."""
    broker = await filled(open_broker, 12, history_size=5)
    assert offsets(await broker.history("room", after=0)) == [8, 9, 10, 11, 12]
    assert offsets(await broker.history("room", before=9)) == [8]
    assert (await broker.position("room")).offset == 12


async def test_a_log_of_nothing_still_counts(open_broker: Open) -> None:
    """With a `history_size` of 0 messages are heard, in order, and not kept."""
    broker = await filled(open_broker, 3, history_size=0)
    page = await broker.history("room", after=0)
    assert (page.publications, page.position.offset) == ([], 3)


async def test_a_silent_rooms_messages_expire(open_broker: Open) -> None:
    """Not so its offset: what is said later is not mistaken for what was said before."""
    broker = await filled(open_broker, 3, history_ttl=1)
    epoch = (await broker.position("room")).epoch

    async def expired() -> bool:
        return not (await broker.history("room")).publications

    assert not await expired()
    await until(expired, "the messages are gone", within=5)
    receipt = await broker.publish("room", body())
    assert (receipt.epoch, receipt.offset) == (epoch, 4)
    assert offsets(await broker.history("room", after=0)) == [4]


async def test_pages_are_right_whatever_is_asked(open_broker: Open) -> None:
    """Five hundred questions to a log that grows and is trimmed, against a list."""
    chance, broker, kept = random.Random(7), await open_broker(history_size=20), 0
    for _ in range(500):
        if chance.random() < 0.2:
            kept = (await broker.publish("room", body())).offset
        log = list(range(max(kept - 19, 1), kept + 1))
        bound, limit = chance.randint(0, kept + 3), chance.randint(1, 25)
        assert offsets(await broker.history("room", after=bound, limit=limit)) == [o for o in log if o > bound][:limit]
        assert (
            offsets(await broker.history("room", before=bound, limit=limit)) == [o for o in log if o < bound][-limit:]
        )
        assert offsets(await broker.history("room", limit=limit)) == log[-limit:]


# --- signals ---


async def test_signals_are_heard_and_not_kept(broker: Broker) -> None:
    """They have no offset, and come in line with the messages."""
    async with subscribed(broker, "room") as next_event:
        await broker.publish("room", body("before"))
        await broker.signal("room", Signal("typing", "w-1", b'{"a":1}'))
        await broker.publish("room", body("behind"))
        async with asyncio.timeout(10):
            heard = [await next_event() for _ in range(3)]
    assert [type(event) for event in heard] == [Publication, Signal, Publication]
    assert isinstance(heard[1], Signal)
    assert (heard[1].kind, heard[1].origin, heard[1].body) == ("typing", "w-1", b'{"a":1}')
    assert offsets(await broker.history("room", after=0)) == [1, 2]


# --- subscriptions ---


async def test_many_subscribers_hear_everything(broker: Broker) -> None:
    """Five in each of twenty rooms."""
    rooms = [f"room-{number}" for number in range(20)]
    async with AsyncExitStack() as stack, asyncio.timeout(20):
        # One by one: first subscribers that cross are the connection manager's business, see its tests.
        listeners = [await stack.enter_async_context(subscribed(broker, room)) for room in rooms * 5]
        for room in rooms:
            await asyncio.gather(*(broker.publish(room, body(room)) for _ in range(5)))
        for number, next_event in enumerate(listeners):
            heard = await publications(next_event, 5)
            assert [publication.offset for publication in heard] == [1, 2, 3, 4, 5]
            assert heard[0].content.text == rooms[number % 20]


async def test_a_room_can_be_subscribed_again(broker: Broker) -> None:
    """After the last subscriber has left; a message that was still on the way may be heard, later ones must be."""
    async with subscribed(broker, "room"):
        await broker.publish("room", body("heard by nobody"))
    await broker.publish("room", body("nobody is there"))
    async with subscribed(broker, "room") as next_event:
        await broker.publish("room", body("heard"))
        while (await publications(next_event, 1))[0].content.text != "heard":
            pass


async def test_one_subscriber_leaves_and_the_other_stays(broker: Broker) -> None:
    """The room's subscription ends with its last subscriber only."""
    async with subscribed(broker, "room") as staying:
        async with subscribed(broker, "room"):
            pass
        await broker.publish("room", body())
        assert len(await publications(staying, 1)) == 1


async def test_a_cancelled_subscriber_leaves_nothing_behind(broker: Broker) -> None:
    """Another one can take its place at once."""

    async def listen() -> None:
        async with subscribed(broker, "room") as next_event:
            await next_event()

    listener = asyncio.create_task(listen())
    await asyncio.sleep(0.02)
    listener.cancel()
    await asyncio.wait({listener})
    async with subscribed(broker, "room") as next_event:
        await broker.publish("room", body())
        assert len(await publications(next_event, 1)) == 1


# --- how many sockets are open ---


def quota(limit: int = 3, *, held: int = 0, name: str = "user:ada") -> Quota:
    return Quota(name, limit, held)


async def test_no_more_seats_are_taken_than_there_are(broker: Broker) -> None:
    """However many ask at once; whoever gives one back makes room for one."""
    await broker.beat("w")
    answers = await asyncio.gather(*(broker.claim("w", [quota()]) for _ in range(10)))
    assert answers.count(None) == 3
    assert answers.count(quota()) == 7
    await broker.vacate("w", {"user:ada": 2})
    assert [await broker.claim("w", [quota(held=n)]) for n in (1, 2, 3)] == [None, None, quota(held=3)]


async def test_all_seats_are_taken_or_none(broker: Broker) -> None:
    """Who is refused in one quota takes nothing from another."""
    await broker.beat("w")
    person, address = quota(name="user:ada"), quota(1, name="address:192.0.2.1")
    assert await broker.claim("w", [person, address]) is None
    assert [await broker.claim("w", [person, address]) for _ in range(5)] == [address] * 5
    assert [await broker.claim("w", [person]) for _ in range(3)] == [None, None, person]


async def test_seats_can_be_restated(broker: Broker) -> None:
    """Whatever was noted before."""
    await broker.beat("w")
    for _ in range(3):
        await broker.claim("w", [quota()])
    await broker.restate("w", {"user:ada": 2, "user:bob": 3})
    assert [await broker.claim("w", [quota(held=n)]) for n in (2, 3)] == [None, quota(held=3)]
    assert await broker.claim("w", [quota(name="user:bob")]) is not None
    await broker.restate("w", {"user:ada": 0})
    assert await broker.claim("w", [quota()]) is None
