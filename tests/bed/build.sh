#!/bin/sh
# Makes the files of one image: build.sh WORK LOWER PACKAGE...
# Runs in a private mount namespace, so that nothing stays mounted however it ends. WORK holds before.sh, after.sh and
# gets either upper (the difference to LOWER) or, where overlays cannot be mounted, the whole system in root.
set -eu
work=$1 lower=$2
shift 2

mkdir -p "$work/upper" "$work/overlay" "$work/root"
if ! mount -t overlay overlay -o "lowerdir=$lower,upperdir=$work/upper,workdir=$work/overlay" "$work/root"; then
    rmdir "$work/upper"
    cp -a "$lower/." "$work/root/"
fi
root=$work/root
mount -t proc proc "$root/proc"

inside() {
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive chroot "$root" "$@"
}

inside sh < "$work/before.sh"
inside apt-get install -q -y --no-install-recommends -o Dpkg::Options::=--force-confold "$@"
inside sh < "$work/after.sh"
umount "$root/proc"
