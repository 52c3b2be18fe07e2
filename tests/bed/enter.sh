#!/bin/sh
# Enters a clean system: enter.sh ROOT USER HOME FOLDER NAME=VALUE... -- CMD...
# Expects mount, pid, uts and network namespaces of its own. Stays as process 1, which collects what the command leaves.
set -eu
root=$1 user=$2 home=$3 folder=$4
shift 4

# Engines move the root of their workers: / must be a mount point.
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
if grep -q ' /sys/fs/cgroup' /proc/mounts; then
    mount --rbind /sys/fs/cgroup "$root/sys/fs/cgroup"
fi
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mkdir -m 1777 "$root/run/lock"
hostname fresh
cd "$root"
pivot_root . .
umount -l .
cd /

setpriv --reuid "$user" --regid "$user" --init-groups env -i "HOME=$home" "USER=$user" "LOGNAME=$user" SHELL=/bin/bash \
    sh -c 'cd "$1" && shift && while [ "$1" != -- ]; do export "$1"; shift; done && shift && exec "$@"' sh "$folder" "$@" &
status=0
wait $! || status=$?
exit "$status"
