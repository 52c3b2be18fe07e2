"""The short syntaxes of ports, volumes and devices, taken apart.

Law: pure text to values; what docker compose's parsers accept is accepted, with the same meaning. ValueError says what
is wanted.
What this module does NOT do: trees and positions (`expand`).
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field

_PROPAGATION = frozenset(("rprivate", "private", "rshared", "shared", "rslave", "slave"))
_VOLUME_MARK = re.compile(r"\$\{|[}:]")
_PORT = re.compile(r"\+?[0-9]{1,100}")
_PORT_WANTED = "wants [HOST_IP:][HOST_PORT:]CONTAINER_PORT[/PROTOCOL], ports from 0 to 65535"


class NoPort(ValueError):
    """A port entry that was understood, and publishes port 0, which is none."""


@dataclass(frozen=True, slots=True)
class ShortPort:
    """One published port of a short entry; a range is several."""

    target: int
    published: str
    host_ip: str
    protocol: str


def parse_port(text: str) -> list[ShortPort]:
    """The ports of `8080:80`, `127.0.0.1:90-92:90-92/udp`, `7000-7005:70`. Raises ValueError."""
    *before, container = text.split(":")
    host = before.pop() if before else ""
    address = ":".join(before)
    if address.startswith("[") and address.endswith("]"):
        address = address[1:-1]
    if address:
        _address(address)
    port, slash, protocol = container.partition("/")
    protocol = protocol.lower() if slash and protocol else "tcp"
    if protocol not in ("tcp", "udp", "sctp"):
        raise ValueError("wants the protocol tcp, udp or sctp")
    first, last = _port_range(port)
    published = _port_range(host) if host else None
    if published is not None and last - first != published[1] - published[0] and last != first:
        raise ValueError("wants ranges of the same length on both sides")
    if first == 0:
        raise NoPort("publishes port 0, which is none")
    found = [
        ShortPort(first + at, _published(published, at, first == last), address, protocol)
        for at in range(last - first + 1)
    ]
    # The real one sorts the ports of one entry by their text, `10/tcp` before `9/tcp`.
    return sorted(found, key=lambda one: f"{one.target}/{one.protocol}")


def _published(ports: tuple[int, int] | None, at: int, single: bool) -> str:
    if ports is None:
        return ""
    low, high = ports
    return f"{low}-{high}" if single and low != high else str(low + at)


def _address(text: str) -> None:
    try:
        if "%" in text:  # a zone means nothing on another interface
            raise ValueError
        ipaddress.ip_address(text)
    except ValueError:
        wanted = _PORT_WANTED if ":" in text or text.isdigit() else f'wants an IP address in front, not "{text}"'
        raise ValueError(wanted) from None


def _port_range(text: str) -> tuple[int, int]:
    low, dash, high = text.partition("-")
    if not _PORT.fullmatch(low) or int(low) > 65535:
        raise ValueError(_PORT_WANTED)
    if not dash:
        return int(low), int(low)
    if not _PORT.fullmatch(high) or int(high) > 65535 or int(high) < int(low):
        raise ValueError(_PORT_WANTED)
    return int(low), int(high)


@dataclass(slots=True)
class ShortVolume:
    """A short volume entry. `source` "" = anonymous; `unknown` options mean nothing to compose, `drive`: looks like
    `c:/x`.
    """

    target: str = ""
    source: str = ""
    bind: bool = False
    read_only: bool = False
    nocopy: bool = False
    propagation: str = ""
    selinux: str = ""
    unknown: list[str] = field(default_factory=list)
    drive: bool = False


def parse_volume(text: str) -> ShortVolume:
    """The parts of `SOURCE:TARGET[:OPTIONS]`. Raises ValueError."""
    out = ShortVolume()
    if not text:
        raise ValueError("is empty, wants SOURCE:TARGET or TARGET")
    if len(text.encode("utf-8", "surrogatepass")) <= 2:
        out.target = text
        return out
    parts = _sections(text, out)
    if any(part == "" for part in parts):
        raise ValueError("has nothing between two colons")
    if len(parts) > 3:
        raise ValueError("has too many colons, wants SOURCE:TARGET[:OPTIONS]")
    if len(parts) == 1:
        out.target = parts[0] or ""
    else:
        out.source, out.target = parts[0] or "", parts[1] or ""
    for option in (parts[2] or "rw").split(",") if len(parts) == 3 else ():
        _option(option, out)
    out.bind = is_path(out.source)
    return out


def _sections(text: str, out: ShortVolume) -> list[str | None]:
    """Split at colons; one letter before a colon is a Windows drive and does not split, nor does one between `${` and
    its `}`. None is a last section in which a reference begins and does not end: it counts as if it were not there.
    """
    parts: list[str | None] = []
    begin, within = 0, 0
    for found in _VOLUME_MARK.finditer(text):
        at = found.start()
        if found.group() == "${":
            within += 1
        elif found.group() == "}":
            within -= within > 0
        elif at - begin == 1 and text[begin].isalpha():
            out.drive = True
        elif not within:
            parts.append(text[begin:at])
            begin = at + 1
    return [*parts, None if within else text[begin:]]


def _option(option: str, out: ShortVolume) -> None:
    if option in ("ro", "rw"):
        out.read_only = option == "ro"
    elif option == "nocopy":
        out.nocopy = True
    elif option in ("z", "Z"):
        out.selinux = option
    elif option in _PROPAGATION:
        out.propagation = option
    else:
        out.unknown.append(option)


def is_path(source: str) -> bool:
    """True when a volume's source is a place on the host and not a volume's name."""
    return (
        (source[:1] in (".", "/", "~") and source != "")
        or source.startswith("\\\\")
        or (len(source) > 1 and source[0].isalpha() and source[1] == ":")
    )


def parse_device(text: str) -> tuple[str, str, str]:
    """Source, target and permissions of `/dev/x[:/dev/y[:rwm]]`. Raises ValueError."""
    parts = text.split(":")
    if len(parts) > 3:
        raise ValueError("wants SOURCE[:TARGET[:PERMISSIONS]]")
    source, target, permissions = [*parts, *["", ""][: 3 - len(parts)], ""][:3]
    return source, target or source, permissions if len(parts) == 3 else "rwm"
