"""What a person reads when a call goes wrong."""

from __future__ import annotations

import pytest

from stackd.core.backoff import in_words
from stackd.errors import EngineErrorKind
from stackd.model.view import Failure


@pytest.mark.parametrize(
    ("engine_text", "port"),
    [
        ("driver failed ...: Bind for 0.0.0.0:5999 failed: port is already allocated", "0.0.0.0:5999"),
        ("listen tcp4 0.0.0.0:80: bind: address already in use", "0.0.0.0:80"),
        ("failed to bind host port 127.0.0.1:80/tcp: address already in use", "127.0.0.1:80/tcp"),
    ],
)
def test_a_taken_port_is_named_in_every_engine_s_wording(engine_text: str, port: str) -> None:
    failure = Failure("start:x", None, 1, 0.0, EngineErrorKind.FAILED, engine_text)
    assert in_words(failure) == f"port {port} of the host is taken"
