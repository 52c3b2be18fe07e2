"""Conformance: verdict, canonical model and hashes of any folder of Compose files against the real docker compose."""
