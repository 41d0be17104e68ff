"""Vector fields, one file each: parameters, defaults, state names, units and a reference.

A file belongs here if it defines one physical system and imports `sim` alone. A run names
it by its ``model`` function; tests, examples and `experiments` import it.
"""

from sim.models.model import Model, Quantity

__all__ = ["Model", "Quantity"]
