#!/bin/sh
# The bed's memcached, with the contract of the official image: options may stand alone.
set -eu

case "${1:-}" in -*) set -- memcached "$@" ;; esac
exec "$@"
