#!/bin/sh
# The bed's PostgreSQL, with the contract of the official image: POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB (each also
# as *_FILE), POSTGRES_HOST_AUTH_METHOD, POSTGRES_INITDB_ARGS, PGDATA, scripts in /docker-entrypoint-initdb.d, one initdb
# per data folder, and the server as user postgres in place of this script.
set -eu

case "${1:-}" in -*) set -- postgres "$@" ;; esac
[ "${1:-}" = postgres ] || exec "$@"
case " $* " in *" --version "* | *" -V "* | *" --help "* | *" -? "*) exec "$@" ;; esac

if [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA" /var/run/postgresql
    chmod 0700 "$PGDATA"
    chmod 2775 /var/run/postgresql
    find "$PGDATA" /var/run/postgresql ! -user postgres -exec chown postgres:postgres {} +
    exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi

# setting NAME: the value of $NAME, or of the file that $NAME_FILE names.
setting() {
    eval "value=\${$1:-} file=\${$1_FILE:-}"
    if [ -n "$file" ]; then cat "$file"; else printf '%s' "$value"; fi
}

initialise() {
    user=$(setting POSTGRES_USER)
    user=${user:-postgres}
    database=$(setting POSTGRES_DB)
    database=${database:-$user}
    password=$(setting POSTGRES_PASSWORD)
    method=${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}
    if [ -z "$password" ] && [ "$method" != trust ]; then
        echo "error: the database has no data yet and POSTGRES_PASSWORD is not set" >&2
        exit 1
    fi
    secret=$(mktemp)
    printf '%s\n' "${password:-none}" > "$secret"
    # shellcheck disable=SC2086  # several arguments in one variable are the contract
    initdb --no-sync --username="$user" --pwfile="$secret" --auth=trust ${POSTGRES_INITDB_ARGS:-}
    rm -f "$secret"
    echo "host all all all $method" >> "$PGDATA/pg_hba.conf"
    # While it is being prepared the server listens on its socket only.
    pg_ctl -w start -o "-c listen_addresses=''"
    if [ "$database" != postgres ]; then
        createdb --username="$user" --maintenance-db=postgres "$database"
    fi
    for script in /docker-entrypoint-initdb.d/*; do
        case "$script" in
            *.sh) sh "$script" ;;
            *.sql) psql -v ON_ERROR_STOP=1 --no-password --username="$user" --dbname="$database" -f "$script" ;;
            *.sql.gz) gunzip -c "$script" | psql -v ON_ERROR_STOP=1 --no-password --username="$user" --dbname="$database" ;;
        esac
    done
    pg_ctl -m fast -w stop
}

[ -s "$PGDATA/PG_VERSION" ] || initialise
exec "$@"
