"""The real docker compose as the oracle: the same files, the same model, hash and request bodies."""
