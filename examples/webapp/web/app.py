"""A web app that answers with a row from PostgreSQL, a key from Redis and a value from memcached.

Every request connects anew, so an answer always comes from servers that run now.
"""

import json
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg2
import redis
from pymemcache.client.base import Client


def row() -> str:
    """The first row of the table."""
    connection = psycopg2.connect(os.environ["DATABASE_URL"], connect_timeout=3)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT text FROM rows ORDER BY id LIMIT 1")
            found = cursor.fetchone()
            return str(found[0]) if found else ""
    finally:
        connection.close()


def visits() -> int:
    """How often this was asked since Redis started."""
    with redis.Redis(os.environ["REDIS_HOST"], socket_timeout=3) as client:
        return int(client.incr("visits"))


def value() -> str:
    """A value that memcached keeps; put there when it is not."""
    client = Client(os.environ["MEMCACHED_HOST"], connect_timeout=3, timeout=3)
    try:
        client.add("value", "a value from memcached", noreply=False)
        return bytes(client.get("value")).decode()
    finally:
        client.close()


class Handler(BaseHTTPRequestHandler):
    """`/alive` answers by itself, everything else asks all three servers."""

    def do_GET(self) -> None:
        try:
            answer, status = self.answer(), 200
        except Exception as error:  # whatever is wrong with a server, the app lives on and says so
            answer, status = {"error": type(error).__name__}, 503
        body = json.dumps(answer).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def answer(self) -> dict[str, object]:
        """What is sent."""
        if self.path == "/alive":
            return {"alive": True}
        greeting = os.environ.get("GREETING", "hello")
        return {"greeting": greeting, "postgres": row(), "redis": visits(), "memcached": value()}


def stop(_number: int, _frame: object) -> None:
    """As process 1 of its container, Python ends by SIGTERM only if told so."""
    sys.exit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stop)
    ThreadingHTTPServer(("", 8000), Handler).serve_forever()
