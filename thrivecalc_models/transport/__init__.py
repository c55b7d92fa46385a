"""How a request travels: transports behind one seam, and the driver that uses them."""

from thrivecalc_models.transport.driver import Driver
from thrivecalc_models.transport.seam import Transport
from thrivecalc_models.transport.shield import Shield

__all__ = ["Driver", "Shield", "Transport"]
