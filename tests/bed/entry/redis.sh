#!/bin/sh
# The bed's Redis, with the contract of the official image: options or a configuration file may stand alone, data in
# /data, the server as user redis in place of this script, open to the container's network.
set -eu

case "${1:-}" in -* | *.conf) set -- redis-server "$@" ;; esac
[ "${1:-}" = redis-server ] || exec "$@"
case "${2:-}" in -v | --version | -h | --help) exec "$@" ;; esac

if [ "$(id -u)" = 0 ]; then
    find . ! -user redis -exec chown redis:redis {} +
    exec setpriv --reuid=redis --regid=redis --init-groups "$0" "$@"
fi

shift
case "${1:-}" in
    *.conf)
        file=$1
        shift
        exec redis-server "$file" --protected-mode no "$@"
        ;;
    *) exec redis-server --protected-mode no "$@" ;;
esac
