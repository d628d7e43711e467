"""Who shares an address is counted together."""

from __future__ import annotations

import pytest

from chat.addresses import is_private, network


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8:0:0:ffff::1", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("::1", "::/64"),
        ("testclient", "testclient"),
        ("x" * 1000, "x" * 64),
    ],
)
def test_what_is_one_address(address: str, counted: str) -> None:
    """Whoever has one IPv6 address has all of its network."""
    assert network(address) == counted


@pytest.mark.parametrize(("address", "private"), [("10.0.0.1", True), ("1.1.1.1", False), ("testclient", False)])
def test_what_may_be_a_proxy(address: str, private: bool) -> None:
    assert is_private(network(address)) is private
