"""How a request travels: transports behind one seam, and the driver that uses them."""

from thrivecalc_models.transport.botocore import BotocoreTransport, new_session
from thrivecalc_models.transport.choice import AutoTransport, explain, make_transport
from thrivecalc_models.transport.driver import Driver
from thrivecalc_models.transport.failures import classify_error, classify_exception
from thrivecalc_models.transport.seam import Transport
from thrivecalc_models.transport.shield import Shield

__all__ = [
    "AutoTransport",
    "BotocoreTransport",
    "Driver",
    "Shield",
    "Transport",
    "classify_error",
    "classify_exception",
    "explain",
    "make_transport",
    "new_session",
]
