"""Where Redis is, from a URL."""

import pytest

from chat.broker.address import Address
from chat.exceptions import SettingsError


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://localhost", "localhost:6379/0"),
        ("redis://user:hunter2@10.0.0.1:7000/5", "10.0.0.1:7000/5"),
        ("rediss://:hunter2@cache.example/1", "cache.example:6379/1"),
        ("unix://user:hunter2@/run/redis.sock?db=2", "/run/redis.sock"),
        ("redis+sentinel://:hunter2@a,b:7001/main/3", "main of sentinel a:26379, b:7001"),
    ],
)
def test_an_address_is_shown_without_its_credentials(url: str, shown: str) -> None:
    """In the log, and in what `chat doctor` says."""
    assert str(Address(url)) == shown


def test_credentials_are_read() -> None:
    """With what is escaped in them; without a user, the default one."""
    address = Address("redis://us%40er:p%2Fw@localhost")
    assert (address.username, address.password) == ("us@er", "p/w")
    assert (Address("redis://:pw@localhost").username, Address("redis://localhost").password) == ("default", None)


def test_only_rediss_means_tls() -> None:
    """The scheme decides."""
    assert Address("rediss://localhost").tls is not None
    assert Address("redis://localhost").tls is None


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost:port",
        "redis://localhost:99999",
        "redis+sentinel:///main",
        "redis+sentinel://a:26379",
        "redis+sentinel://a:port/main",
    ],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    """By a sentence that names the setting."""
    with pytest.raises(SettingsError, match="CHAT_BROKER_URL"):
        Address(url)
