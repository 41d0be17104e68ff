"""Vector fields, one file each, with parameters, defaults, state names, units and one reference."""

from sim.models.model import Model, Quantity

__all__ = ["Model", "Quantity"]
