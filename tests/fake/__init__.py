"""An engine in memory: the same Protocol and the same event grammar as a real one, on any clock.

Law: what a real engine does is stated in tests/contract and holds for both. Faults are injected only where a real
engine, its socket or its host can fail too.
"""

from tests.fake.engine import FakeEngine
from tests.fake.values import Behaviour, Call, Dialect, FakeImage, Fault, FaultKind

__all__ = ["Behaviour", "Call", "Dialect", "FakeEngine", "FakeImage", "Fault", "FaultKind"]
