"""The load generator's pure parts: what it reads, what it makes of it, how it shows it."""

from __future__ import annotations

import math
import random
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.bench import chart, wire
from chat.bench.advice import refused_handshake
from chat.bench.crowd import Address
from chat.bench.dialect import CHAT_V1
from chat.bench.latency import histogram, percentile
from chat.bench.ledger import Ledger, Verdict
from chat.bench.load import Measured, Pace
from chat.bench.report import Report
from chat.bench.wire import Entry
from chat.exceptions import LoadRefused
from chat.frames import Payload, frame
from chat.protocol import CloseCode


def message(offset: int, number: int, *, size: int = 100) -> bytes:
    text = wire.text_of(number, size).encode()
    return frame(Payload(b'{"type":"message","offset":%d,"at":"now","id":"1","text":"%s"}' % (offset, text)))


# --- reading ---------------------------------------------------------------------------------------


@given(st.integers(0, 700), st.sampled_from([20, 100, 200, 70_000]))
def test_messages_are_read_however_they_are_cut(cut: int, size: int) -> None:
    """Whatever is not whole is given back, to be put before what comes next."""
    data = message(7, 0, size=size) + message(8, 1, size=size)
    first = wire.read(data[:cut], CHAT_V1.message)
    second = wire.read(first.rest + data[cut:], CHAT_V1.message)
    assert first.entries + second.entries == [(7, 0), (8, 1)]
    assert second.rest == b""


def test_what_is_no_message_is_set_apart() -> None:
    """Pings, and other events."""
    piece = wire.read(b"\x89\x02hi" + frame(Payload(b'{"type":"pong"}')) + message(1, 0), CHAT_V1.message)
    assert piece.entries == [(1, 0)]
    assert piece.others == [(wire.PING, b"hi"), (wire.TEXT, b'{"type":"pong"}')]


def test_a_server_that_tells_no_offsets_may_put_several_messages_into_a_frame() -> None:
    texts = (wire.text_of(4, 20) + wire.text_of(5, 20)).encode()
    assert wire.read(frame(Payload(texts)), None).entries == [(0, 4), (0, 5)]


@given(st.binary(max_size=300))
def test_what_a_client_sends_is_masked(payload: bytes) -> None:
    data = wire.client_frame(payload)
    start = len(data) - len(payload)
    assert data[1] & 0x80
    key = data[start - 4 : start]
    assert bytes(byte ^ key[place % 4] for place, byte in enumerate(data[start:])) == payload


# --- judging ---------------------------------------------------------------------------------------


def judged(*streams: list[Entry], expected: int = 5, offsets: bool = True) -> Verdict:
    """Return the verdict on members who got these messages."""
    ledger, kept, strayed = Ledger(), [], []
    for stream in streams:
        got = 0
        while got < len(stream) and ledger.fits(got, stream[got : got + 1]):
            got += 1
        if got == len(stream):
            kept.append(got)
        else:
            strayed.append(stream)
    return ledger.judge(kept=kept, strayed=strayed, expected=range(expected), offsets=offsets)


SOUND: list[Entry] = [(offset, offset - 10) for offset in range(10, 15)]


def test_all_the_same_is_sound() -> None:
    assert judged(SOUND, SOUND, SOUND) == Verdict()


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(
    ("wrong", "verdict"),
    [
        (SOUND[:2] + SOUND[3:], Verdict(lost=1)),
        (SOUND[:4], Verdict(lost=1)),
        ([], Verdict(lost=5)),
        (SOUND[:3] + SOUND[2:], Verdict(doubled=1)),
        ([SOUND[0], SOUND[2], SOUND[1], *SOUND[3:]], Verdict(reordered=1)),
        ([SOUND[0], SOUND[2], *SOUND[3:], SOUND[1]], Verdict(reordered=1)),
    ],
)
def test_what_is_wrong_with_one_member_is_counted(wrong: list[Entry], verdict: Verdict, first: bool) -> None:
    """Whether it is the first to get it or not: with offsets it is known who is right."""
    assert judged(*([wrong, SOUND, SOUND] if first else [SOUND, wrong, SOUND])) == verdict


def test_what_nobody_got_is_lost_for_all() -> None:
    """Both by its number, which was acknowledged, and by the hole in the offsets."""
    assert judged(SOUND[:2] + SOUND[3:], SOUND[:2] + SOUND[3:]) == Verdict(lost=2)
    assert judged(SOUND[:2] + SOUND[3:], expected=0) == Verdict(lost=1)


def test_a_message_that_got_two_offsets_is_doubled() -> None:
    assert judged([*SOUND, (15, 4)], [*SOUND, (15, 4)]) == Verdict(doubled=2)


def test_members_who_disagree_are_noticed_without_offsets() -> None:
    """Then it cannot be known who is right."""
    plain: list[Entry] = [(0, number) for number in range(5)]
    swapped = [plain[1], plain[0], *plain[2:]]
    assert judged(plain, plain, offsets=False) == Verdict()
    assert judged(plain, swapped, offsets=False) == Verdict(reordered=1)


# --- showing ---------------------------------------------------------------------------------------


def test_percentiles_are_values_that_occurred() -> None:
    values = sorted(random.Random(1).random() for _ in range(1000))
    assert percentile(values, 50) == values[499]
    assert percentile(values, 99.9) == values[998]
    assert percentile([3.0], 99) == 3.0
    assert math.isnan(percentile([], 50))


def test_the_histogram_counts_everybody() -> None:
    lines = histogram([0.3, 0.3, 0.3, 3.0])
    assert [line.split()[1:4] for line in lines] == [
        ["0.5", "ms", "75.00%"],
        ["1", "ms", "0.00%"],
        ["2", "ms", "0.00%"],
        ["4", "ms", "25.00%"],
    ]
    assert lines[0].count("█") == 40


def a_report(verdict: Verdict | None = None, latencies: list[float] | None = None) -> Report:
    measured = Measured(seconds=2.0, messages=10, deliveries=1000, latencies=latencies or [], sampled=100)
    return Report(
        what="ws://localhost: <a load>",
        options={"rooms": 1},
        members=100,
        connect_seconds=0.5,
        by_worker={"a": 60, "b": 40},
        measured=measured,
        verdict=verdict or Verdict(),
    )


def test_the_report_says_what_people_want_to_know() -> None:
    text = a_report(latencies=[1.0] * 99 + [7.25]).text()
    assert "100 members in 0.50 s: 200/s; on 2 workers: 60, 40" in text
    assert "1,000 deliveries in 2.0 s: 500/s" in text
    assert "p50 1, p90 1, p99 1, p99.9 7.25, max 7.25 ms" in text
    assert "every member got every message once, in one order" in text


def test_the_report_says_what_went_wrong() -> None:
    report = a_report(Verdict(lost=3, reordered=1))
    assert not report.sound
    assert "FAILED: 3 deliveries lost, 0 doubled, 1 reordered" in report.text()
    assert report.as_json()["check"] == {
        "sound": False, "lost": 3, "doubled": 0, "reordered": 1, "gaps": 0, "unavailable": 0
    }  # fmt: skip


def test_a_load_that_did_not_come_to_its_end_is_not_sound() -> None:
    """Though nothing is known to be lost."""
    report = replace(a_report(), trouble="nobody could come back")
    assert not report.sound
    assert "FAILED: nobody could come back" in report.text()


@pytest.mark.parametrize("latencies", [[], [1.0], [1.0, 2.0, 400.0], [0.5] * 5000])
def test_the_plot_is_the_same_for_the_same_figures(latencies: list[float]) -> None:
    """And it is XML, whatever stands in it."""
    plot = a_report(latencies=latencies).plot()
    assert plot == a_report(latencies=latencies).plot()
    assert "&lt;a load&gt;" in plot
    ElementTree.fromstring(plot)


@given(st.lists(st.floats(0.001, 1e6), min_size=1, max_size=5), st.booleans())
def test_a_dot_plot_holds_any_figures(values: list[float], ours: bool) -> None:
    rows = [chart.Row(f"row {value}", [value, None], ours=ours) for value in values]
    root = ElementTree.fromstring(chart.dots("title", chart.Axis("axis"), ["one", "two"], rows))
    circles = list(root.iter("{http://www.w3.org/2000/svg}circle"))
    assert len(circles) == len(values) + 1  # and one in the key
    assert all(0 <= float(circle.attrib["cx"]) <= chart.WIDTH for circle in circles)


# --- options and refusals ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "name", "port", "path", "secure"),
    [
        ("ws://localhost:8000", "localhost", 8000, "", False),
        ("localhost:8000", "localhost", 8000, "", False),
        ("https://chat.example.org/team/", "chat.example.org", 443, "/team", True),
        ("wss://[::1]:9000", "::1", 9000, "", True),
    ],
)
def test_addresses_are_read(url: str, name: str, port: int, path: str, secure: bool) -> None:
    address = Address(url)
    assert (address.name, address.port, address.path, address.tls is not None) == (name, port, path, secure)


@pytest.mark.parametrize("url", ["ftp://localhost", "ws://", "ws://localhost:eighty", "ws://localhost:99999"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(LoadRefused):
        Address(url)


def test_a_pace_is_read() -> None:
    assert str(Pace.parse("in-flight=8")) == "in-flight=8"
    with pytest.raises(ValueError, match="expected"):
        Pace.parse("quickly=8")


@pytest.mark.parametrize(
    ("status", "body", "advice"),
    [
        (b"429 Too Many Requests", b'{"code":%d,"message":"too many"}' % CloseCode.TOO_MANY_CONNECTIONS, "PER_ADDRESS"),
        (b"429 Too Many Requests", b"<html>", "CHAT_MAX_CONNECTIONS_PER_USER=0"),
        (b"401 Unauthorized", b'{"code":4401,"message":"expired"}', "expired; give tokens that it accepts by --token"),
        (b"403 Forbidden", b'{"code":4403,"message":"not here"}', "--prefix"),
        (b"503 Service Unavailable", b"", "/readyz"),
        (b"418 I'm a teapot", b"", "418 I'm a teapot"),
    ],
)
def test_a_refusal_says_what_to_do(status: bytes, body: bytes, advice: str) -> None:
    assert advice in str(refused_handshake(b"HTTP/1.1 " + status + b"\r\nServer: x", body))
