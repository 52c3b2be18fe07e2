"""What is removed, and what must never be."""

from __future__ import annotations

import shlex
import shutil
import stat

import pytest

from tests.e2e.stacks import forever
from tests.e2e.world import REPOSITORY, Daemon, World, until

pytestmark = pytest.mark.engine

UNPRIVILEGED = (
    *("unshare", "--mount", "--propagation", "private", "sh", "-ec"),
    # Without these capabilities a closed folder is closed for root too; so is the home that the code may stand in.
    f"""mount --bind {shlex.quote(str(REPOSITORY))} /mnt
    exec env PYTHONPATH=/mnt setpriv --bounding-set=-dac_override,-dac_read_search \\
        --inh-caps=-dac_override,-dac_read_search /mnt/.venv/bin/python -c \\
        'import sys; sys.argv[0] = "stackd"; from stackd.cli.main import main; main()' "$@" """,
)


def test_a_service_removed_from_the_file_is_removed(world: World, daemon: Daemon) -> None:
    stack = world.stack(daemon, "two", {"compose.yaml": forever("one", "two")})
    before = stack.running("one", "two")
    stack.settled()
    stack.write(forever("one"))
    until(lambda: [one.service for one in stack.containers()] == ["one"], "service two gone")
    stack.settled()
    assert stack.one("one").started == before["one"].started


def test_a_removed_stack_leaves_only_its_volumes(world: World, daemon: Daemon) -> None:
    kept = world.stack(daemon, "kept", {"compose.yaml": forever("one")})
    also = world.stack(daemon, "also", {"compose.yaml": forever("one")})
    text = forever("one", extra=["volumes: ['rows:/rows']"]) + "volumes: {rows: }\n"
    stack = world.stack(daemon, "gone", {"compose.yaml": text})
    before = [kept.running("one")["one"].started, also.running("one")["one"].started]
    stack.running("one")
    stack.settled()
    shutil.rmtree(stack.folder)
    until(lambda: not stack.containers() and not world.engine.networks(stack.name), "containers and network gone")
    assert world.engine.volumes(stack.name) == [f"{stack.name}_rows"]
    until(lambda: stack.status().status == 404, "the stack forgotten")
    assert [kept.one("one").started, also.one("one").started] == before


def test_a_dangling_link_removes_nothing(world: World, daemon: Daemon) -> None:
    stack = world.stack(daemon, "linked", {"compose.yaml": forever("one")}, where=world.folder / "elsewhere")
    (daemon.stacks / "linked").symlink_to(stack.folder)
    before = stack.running("one")["one"]
    stack.settled()
    aside = stack.folder.rename(world.folder / "aside")
    until(lambda: stack.status().at("presence") == "definition_missing", "the missing definition seen")
    other = world.stack(daemon, "other", {"compose.yaml": forever("one")})
    other.running("one")
    assert stack.one("one").started == before.started
    aside.rename(stack.folder)
    until(lambda: stack.status().at("presence") == "present", "the definition back")
    stack.settled()
    assert stack.one("one") == before


def test_an_unreadable_folder_removes_nothing(world: World) -> None:
    daemon = world.daemon(launcher=UNPRIVILEGED)
    stack = world.stack(daemon, "closed", {"compose.yaml": forever("one")})
    before = stack.running("one")["one"]
    stack.settled()
    mode = stat.S_IMODE(stack.folder.stat().st_mode)
    stack.folder.chmod(0)
    daemon.post("/v1/rescan", {})
    until(lambda: stack.status().at("diagnostics") or stack.status().at("presence") != "present", "the trouble seen")
    other = world.stack(daemon, "other", {"compose.yaml": forever("one")})
    other.running("one")
    assert stack.one("one") == before
    stack.folder.chmod(mode)
    daemon.post("/v1/rescan", {})
    stack.settled()
    assert stack.one("one") == before
