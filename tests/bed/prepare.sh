#!/bin/sh
# Puts on an unpacked system what a newcomer has: prepare.sh ROOT USER PACKAGE...
# Runs in a private mount namespace. etc/ssl/certs/bed.crt is the machine's bundle of certificates.
set -eu
root=$1 user=$2
shift 2

inside() {
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive chroot "$root" "$@"
}

mount -t proc proc "$root/proc"
inside apt-get update -q
inside apt-get install -q -y --no-install-recommends -o DPkg::Options::=--force-unsafe-io "$@"
inside apt-get clean
umount "$root/proc"
if [ "$user" != root ]; then
    inside useradd -m -s /bin/bash "$user"
    echo "$user ALL=(ALL:ALL) NOPASSWD: ALL" > "$root/etc/sudoers.d/$user"
    chmod 0440 "$root/etc/sudoers.d/$user"
fi
printf '127.0.0.1 localhost fresh\n::1 localhost\n' > "$root/etc/hosts"
echo fresh > "$root/etc/hostname"
