"""What a run has found is handed over: the artifact, a card, a script and a suite for it."""

from perfsuite.ship.shipping import ship

__all__ = ["ship"]
