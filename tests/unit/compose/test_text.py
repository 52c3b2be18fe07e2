"""Small languages inside a Compose file: references, env files, durations, sizes, command lines, ports and volumes."""

from __future__ import annotations

import pytest

from stackd.compose.dotenv import parse, parse_raw
from stackd.compose.hash import bound, digest, go_json
from stackd.compose.redact import readable, secret_key
from stackd.compose.report import Report
from stackd.compose.short import parse_port, parse_volume
from stackd.compose.template import TemplateError, Variables, substitute
from stackd.compose.units import go_duration, parse_bytes, parse_duration
from stackd.compose.words import shell_words

VARIABLES = Variables({"V": "val", "E": ""}, {"S": "hidden"})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${U:-a}b}", "ab}"), ("${U:-{}}", "{}"), ("${U:-a:-b}", "a:-b"), ("${E-d}", ""), ("${E:-d}", "d"),
        ("${E+r}", "r"), ("${E:+r}", ""), ("$$V", "$V"), ("$$$V", "$val"), ("$1 $- a$", "$1 $- a$"),
        ("${U:-${V}}${V}", "valval"),
    ],
)  # fmt: skip
def test_a_reference_means_what_it_means_to_docker_compose(text: str, value: str) -> None:
    assert substitute(text, VARIABLES).text == value


@pytest.mark.parametrize("text", ["${", "${}", "${1}", "${V!x}", "${ V }", "${V:-a\n}", "${U:?why}"])
def test_a_broken_reference_is_refused(text: str) -> None:
    with pytest.raises(TemplateError):
        substitute(text, VARIABLES)


def test_what_a_hidden_variable_touches_is_hidden() -> None:
    assert substitute("a-$S", VARIABLES).secret
    assert substitute("${U:-$S}", VARIABLES).secret
    assert not substitute("${V}", VARIABLES).secret


def test_a_required_message_never_shows_a_hidden_value() -> None:
    with pytest.raises(TemplateError) as raised:
        substitute("${U:?because $S}", VARIABLES)
    assert "hidden" not in raised.value.message


def test_an_unset_name_is_told() -> None:
    assert substitute("a${U}b$U", VARIABLES).unset == ["U", "U"]


def env(text: str) -> dict[str, str]:
    report = Report()
    found = {name: held.value for name, held in parse(text.encode(), ".env", VARIABLES, report).items()}
    assert not report.failed, report.all()
    return found


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("A=1", "1"), ("export A=1", "1"), ("A: 1", "1"), ("A=x # y", "x"), ("A=x#y", "x#y"), ("A='$V'", "$V"),
        ('A="$V\\n"', "val\n"), ("A=$V", "val"), ('A="a\nb"', "a\nb"), ("A='a\\'b'", "a'b"), ('A="\\0101"', "A"),
        ("A=\\n", "\\n"), ('A="\\$V"', "$V"), ("A=a=b", "a=b"), ("\ufeffA=1", "1"), ("A=", ""),
    ],
)  # fmt: skip
def test_an_env_line_reads_as_docker_compose_reads_it(text: str, value: str) -> None:
    assert env(text)["A"] == value


def test_a_bare_name_takes_the_environments_value_or_nothing() -> None:
    assert env("V\nNOT_THERE\n") == {"V": "val"}


def test_each_env_variable_knows_its_line() -> None:
    found = parse(b'A="1\n2"\nB=3\n', ".env", VARIABLES, Report())
    assert [held.span.line for held in found.values()] == [1, 3]


def test_a_raw_env_file_keeps_quotes_and_dollars() -> None:
    found = parse_raw(b"A='$V'\n# c\nV\n", "raw.env", VARIABLES, Report())
    assert {name: held.value for name, held in found.items()} == {"A": "'$V'", "V": "val"}


@pytest.mark.parametrize(
    ("text", "printed"),
    [("90s", "1m30s"), ("1.5h", "1h30m0s"), ("500ms", "500ms"), ("0", "0s"), ("1d", "24h0m0s"), ("1.5s", "1.5s")],
)
def test_a_duration_prints_as_go_prints_it(text: str, printed: str) -> None:
    assert go_duration(parse_duration(text)) == printed


@pytest.mark.parametrize("text", ["", "10", "1x", "1m 2s", "s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="wants a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"), [("10m", 10 << 20), ("1.5gb", 3 << 29), ("512", 512), ("-1", -1), ("1 kib", 1024)]
)
def test_a_size_is_binary(text: str, size: int) -> None:
    assert parse_bytes(text) == size


def test_a_command_is_split_without_a_shell_and_cut_at_its_operators() -> None:
    assert shell_words("sh -c 'a && b' \"c d\" e\\ f").words == ["sh", "-c", "a && b", "c d", "e f"]
    assert shell_words("echo a; echo b").words == ["echo", "a"]
    assert shell_words("echo a; echo b").cut_at == 6


@pytest.mark.parametrize("text", ["'a", "a\\", "a (b)", "a ` b"])
def test_a_command_left_open_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="has a"):
        shell_words(text)


def test_port_ranges_unfold_side_by_side() -> None:
    assert [(port.published, port.target) for port in parse_port("8000-8002:80-82")] == [
        ("8000", 80),
        ("8001", 81),
        ("8002", 82),
    ]
    assert [(port.published, port.target) for port in parse_port("7000-7005:70")] == [("7000-7005", 70)]
    assert parse_port("[::1]:80:80/udp")[0].host_ip == "::1"


@pytest.mark.parametrize("text", ["80:80:80:80", "x", "70000", "1-3:1-2", "80/foo", "80:", "300.0.0.1:80:80"])
def test_what_is_no_port_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="wants"):
        parse_port(text)


def test_a_volume_says_whether_it_is_a_folder_or_a_name() -> None:
    assert parse_volume("./a:/b:ro").bind
    assert parse_volume("./a:/b:ro").read_only
    assert not parse_volume("data:/b").bind
    assert parse_volume("/b").source == ""


def test_a_one_letter_volume_is_a_drive_to_docker_compose_and_to_us() -> None:
    assert parse_volume("v:/data").drive
    assert parse_volume("v:/data").source == ""


def test_the_hash_follows_the_containers_that_a_service_refers_to() -> None:
    text = '{"network_mode":"service:a","volumes_from":["b:ro","container:x"]}'
    assert bound(text, {"a": "1", "b": "2"}) == '{"network_mode":"container:1","volumes_from":["2","x"]}'
    assert bound(text, {}) == '{"network_mode":"service:a","volumes_from":["b:ro","x"]}'
    assert digest("x") != digest("y")


def test_go_json_escapes_what_go_escapes() -> None:
    assert (
        go_json({"a": ["<&>\u2028", 0.5, 1.0, None, True, {}]})
        == '{"a":["\\u003c\\u0026\\u003e\\u2028",0.5,1,null,true,{}]}'
    )


@pytest.mark.parametrize("name", ["DB_PASSWORD", "apiToken", "SECRET_X", "aws_key", "SENTRY_DSN", "CREDENTIALS"])
def test_a_name_that_sounds_secret_is_secret(name: str) -> None:
    assert secret_key(name)


def test_the_user_of_a_url_is_never_printed() -> None:
    assert readable("postgres://joe:pw@db/x and http://h/") == "postgres://***@db/x and http://h/"
