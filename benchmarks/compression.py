"""What compression costs and saves, by the size of a message: `python -m benchmarks.compression`.

Prose is taken from our own documentation, `data` from messages about orders; each is wrapped as `chat.v1` sends it.
Nothing goes over a network: the bytes are counted, and what making a frame takes is timed.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from chat.codec import ChatV1
from chat.events import Publication
from chat.frames import Payload, deflated_frame, frame
from chat.protocol import User, body, encode

DOCS = Path(__file__).parents[1] / "docs"
SIZES = (100, 200, 400, 1000, 4000, 16000)  # characters, or bytes of JSON
SAMPLES = 40
ROUNDS = 5


def prose(size: int) -> Iterator[Payload]:
    """Yield messages of so many characters."""
    text = "\n".join(path.read_text() for path in sorted(DOCS.glob("*.md")))
    step = max(1, (len(text) - size) // SAMPLES)
    for number in range(SAMPLES):
        yield _message(text=text[number * step : number * step + size])


def orders(size: int) -> Iterator[Payload]:
    """Yield messages with lists of orders, of about so many bytes."""
    for number in range(SAMPLES):
        rows: list[dict[str, object]] = []
        while len(json.dumps(rows)) < size:
            id = number * 1000 + len(rows)
            rows.append({"id": id, "state": ("open", "paid", "sent")[id * 7 % 3], "total": id * 31 % 997 / 10})
        yield _message(data=rows)


def _message(**content: object) -> Payload:
    said = encode(body(User("447d7b2c188e2bcd", "Ada"), **content))  # type: ignore[arg-type]
    payload = ChatV1().encode(Publication("70ded39f", 4711, 1_795_247_855_014, "-", said))
    assert payload is not None
    return payload


def microseconds(make: Callable[[Payload], bytes], payloads: list[Payload]) -> float:
    """Return what making one frame takes, the median of some rounds."""
    rounds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for payload in payloads:
            make(payload)
        rounds.append((time.perf_counter() - start) / len(payloads) * 1e6)
    return statistics.median(rounds)


def main() -> None:
    """Print a Markdown table."""
    print("| message | bytes | compressed | saved | made in, µs | compressed in, µs |")
    print("|---|--:|--:|--:|--:|--:|")
    for kind in (prose, orders):
        for size in SIZES:
            payloads = list(kind(size))
            plain = sum(len(frame(payload)) for payload in payloads) / len(payloads)
            small = sum(len(deflated_frame(payload)) for payload in payloads) / len(payloads)
            costs = [microseconds(make, payloads) for make in (frame, deflated_frame)]
            print(
                f"| {kind.__name__} of {size:,} | {plain:,.0f} | {small:,.0f} | {1 - small / plain:.0%} "
                f"| {costs[0]:.1f} | {costs[1]:.0f} |"
            )


if __name__ == "__main__":
    main()
