"""The test bed: private container engines, images, registries and clean systems, without a network.

Law: needs nothing but the distribution's Python, its packages and root; what it makes lives in its cache directory and
in network namespaces of its own, so the machine's own engine, bridges and ports are never touched. It holds no host
name: packages come from wherever the machine's own apt gets them. It does not know stackd; stackd's tests use it.

    python3 -m tests.bed up                            # an engine with the images; again: a second
    python3 -m tests.bed exec -- python -m pytest ...   # runs inside the bed's network namespace
"""
