#!/bin/sh
# Runs "$@" with a sysfs of the current network namespace and with the cgroups of the machine.
# Expects a private mount namespace. Engines from 28 on read /sys/class/net/<bridge>, and a sysfs shows the network
# namespace it was mounted in; a fresh sysfs has no cgroups, so these are carried over.
set -eu

if grep -q ' /sys/fs/cgroup' /proc/mounts; then
    save=$(mktemp -d)
    mount --rbind /sys/fs/cgroup "$save"
    mount -t sysfs sysfs /sys
    mount --rbind "$save" /sys/fs/cgroup
    umount -l "$save"
    rmdir "$save"
else
    mount -t sysfs sysfs /sys
fi

# cgroup v2 seen from inside a container: the topmost visible group holds processes, so it may not hand controllers
# down ("no internal processes"). The true root has no cgroup.type and needs nothing.
if [ -e /sys/fs/cgroup/cgroup.controllers ] && [ -e /sys/fs/cgroup/cgroup.type ]; then
    mkdir -p /sys/fs/cgroup/init
    while read -r pid; do
        echo "$pid" > /sys/fs/cgroup/init/cgroup.procs || true
    done < /sys/fs/cgroup/cgroup.procs 2>/dev/null
    sed -e 's/ / +/g' -e 's/^/+/' < /sys/fs/cgroup/cgroup.controllers > /sys/fs/cgroup/cgroup.subtree_control || true
fi

exec "$@"
