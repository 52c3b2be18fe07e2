"""What the database's rows hold: values of the model as JSON texts, and back.

Law: what one version writes the next can read; the instants of a ledger are written as wall clock. What this module
does NOT do: keep, or judge what cannot be read.
"""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from pydantic import TypeAdapter

from stackd.model.evidence import Condemned
from stackd.model.ids import ContainerId, ServiceName, StackName
from stackd.model.override import Operation, Override, Request
from stackd.model.record import EARLIER, RULE, Applied, Crash, CrashBundle
from stackd.model.status import Happening
from stackd.model.view import Ledger, ServiceLedger
from stackd.runtime.database import CrashRow, HistoryRow, Stored, Table
from stackd.source.revision import Revision

OVERRIDE = TypeAdapter(Override)
REQUEST = TypeAdapter(Request)
LEDGER = TypeAdapter(ServiceLedger)
_LEDGER_OF_STACK = TypeAdapter(Ledger)
CONDEMNED = TypeAdapter(dict[ContainerId, Condemned])
REVISION = TypeAdapter(Revision)
CRASH = TypeAdapter(Crash)
APPLIED = TypeAdapter(Applied)
OPERATION = TypeAdapter(Operation)
_BUNDLE = TypeAdapter(CrashBundle)


def crash_row(bundle: CrashBundle) -> CrashRow:
    """A crash as stored."""
    crash = bundle.crash
    body = zlib.compress(_BUNDLE.dump_json(bundle), 1)
    return CrashRow(crash.id, crash.at, crash.stack, crash.service, CRASH.dump_json(crash).decode(), body)


def bundle_of(body: bytes) -> CrashBundle:
    """A crash with its evidence, from the body of its row."""
    bundle = _BUNDLE.validate_json(zlib.decompress(body))
    if bundle.rule >= RULE:
        return bundle
    gaps = (*bundle.gaps, EARLIER) if bundle.changes else bundle.gaps
    return replace(bundle, crash=replace(bundle.crash, error=""), changes=(), gaps=gaps)


def history_row(entry: Happening) -> HistoryRow:
    """A history entry as stored."""
    body = json.dumps({"message": entry.message, "data": [list(pair) for pair in entry.data]}, ensure_ascii=False)
    return HistoryRow(entry.seq, entry.at, entry.stack, entry.service, entry.type, body)


def override_key(override: Override) -> str:
    """What an override is replaced by: another of the same stack, service and kind."""
    return json.dumps([override.stack, override.service, override.kind.value])


def applied_key(applied: Applied) -> str:
    """One number of one stack."""
    return json.dumps([applied.stack, applied.number])


def packed(applied: Applied) -> str:
    """An applied revision as stored: its texts are long and much alike."""
    return base64.b64encode(zlib.compress(APPLIED.dump_json(applied), 1)).decode("ascii")


def unpacked(body: str) -> bytes:
    """The text that `packed` made small."""
    return zlib.decompress(base64.b64decode(body))


def without_values(applied: Applied) -> Applied:
    """An applied revision as it may be shown: one of an earlier rule without what was edited, and not resolved."""
    if applied.rule >= RULE:
        return applied
    return replace(applied, resolved="", changes=(EARLIER,) if applied.changes else (), rule=RULE)


def by_table(stored: Stored) -> dict[Table, dict[str, str]]:
    """The rows of each table."""
    of: dict[Table, dict[str, str]] = {table: {} for table in Table}
    for (table, key), body in stored.rows.items():
        of[table][key] = body
    return of


def ledger_key(stack: StackName, service: ServiceName) -> str:
    """One service of one stack, written as SQLite's json_array() writes it (migration 3 makes such keys)."""
    return json.dumps([stack, service], separators=(",", ":"))


def ledger_rows(stored: Mapping[str, str]) -> dict[str, str]:
    """The rows by service. A file that can only be read may still hold one row for each stack (schema 1 and 2)."""
    found: dict[str, str] = {}
    for key, body in stored.items():
        if key.startswith("["):
            found[key] = body
            continue
        with suppress(ValueError):  # What cannot be read of a ledger is forgotten: it may only delay or forbid.
            for name, one in _LEDGER_OF_STACK.validate_json(body).services.items():
                found[ledger_key(StackName(key), name)] = LEDGER.dump_json(one).decode()
    return found


def ledgers(services: Mapping[str, ServiceLedger]) -> dict[StackName, Ledger]:
    """The ledger of each stack, from those of its services by `ledger_key`."""
    found: dict[StackName, dict[ServiceName, ServiceLedger]] = {}
    for key, one in services.items():
        stack, service = json.loads(key)
        found.setdefault(StackName(stack), {})[ServiceName(service)] = one
    return {stack: Ledger(of) for stack, of in found.items()}


def shifted(service: ServiceLedger, by: float, latest: float = math.inf) -> ServiceLedger:
    """The memory of a service with its own instants moved to another clock; those of the engine stay.

    None comes to lie after `latest`: a clock set back while we were away must not stretch a delay past its maximum.
    """

    def at(instant: float) -> float:
        return min(instant + by, latest)

    return replace(
        service,
        deaths=tuple(replace(death, seen_at=at(death.seen_at)) for death in service.deaths),
        health_restarts=tuple((run, at(when)) for run, when in service.health_restarts),
        stable_since=at(service.stable_since) if service.stable else 0.0,
        sick_since=at(service.sick_since) if service.sick else 0.0,
        usurped=tuple((container, at(when)) for container, when in service.usurped),
    )


def happening(row: HistoryRow) -> Happening:
    """A history entry, from its row."""
    body = json.loads(row.body)
    data = tuple((str(key), value) for key, value in body["data"])
    service = None if row.service is None else ServiceName(row.service)
    return Happening(row.seq, row.at, StackName(row.stack), service, row.type, body["message"], data)
