#!/bin/sh
# The engine's second runtime, `docker run --runtime bounded`: runc, but a container that asks for more capabilities than
# this machine grants (a privileged one on a restricted CI machine) gets what there is, as engines from 23 on do it.
set -eu

# What a container is made from is in BUNDLE/config.json, what a process is started from in the file of --process.
wish=
previous=
for word in "$@"; do
    case "$previous" in
        -b | --bundle) wish=$word/config.json ;;
        -p | --process) wish=$word ;;
    esac
    previous=$word
done

if [ -n "$wish" ] && [ -f "$wish" ]; then
    python3 - "$wish" <<'END'
import json, re, sys
NAMES = """CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT
SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG
WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE""".split()
bounding = int(re.search(r"CapBnd:\s*(\w+)", open("/proc/self/status").read())[1], 16)
granted = {f"CAP_{name}" for bit, name in enumerate(NAMES) if bounding >> bit & 1}
with open(sys.argv[1], "r+") as file:
    document = json.load(file)
    sets = document.get("process", document).get("capabilities") or {}
    for kind, wanted in sets.items():
        sets[kind] = [name for name in wanted or () if name in granted]
    file.seek(0)
    json.dump(document, file)
    file.truncate()
END
fi
exec runc "$@"
