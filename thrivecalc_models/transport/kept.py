"""How long an idle connection is kept, on both transports."""

from __future__ import annotations

from typing import Final

MAX_IDLE_SECONDS: Final = 50.0
"""Load balancers drop a connection after a minute without traffic, NAT gateways after six."""

KEEPALIVE_SECONDS: Final = 20
"""Seconds between TCP's probes whether the other end of an idle connection still answers."""
