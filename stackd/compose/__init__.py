"""From text to a typed definition: the Compose pipeline.

Law: PURE. Files come through the `read` argument, variables through `env`; nothing here touches the disk, the clock,
the process environment or the engine. A user's mistake never raises out of `load()`: it becomes a `Diagnostic` with
its place, and all that can be found in one pass are found at once.

The route, per file: yaml (text -> tree) -> interpolate -> schema -> merge -> expand (short to long syntax); then over
the merged tree: normalise -> decode (tree -> canonical values) -> build (ServiceSpec) -> check. What it does NOT do:
decide anything about containers, or know what the engine holds.
"""
