"""How long an idle connection is kept, on both transports."""

from __future__ import annotations

from typing import Final

MAX_IDLE_SECONDS: Final = 50.0
"""Load balancers forget a connection after a minute without traffic, a NAT gateway after six."""

KEEPALIVE_SECONDS: Final = 20
"""TCP asks this often whether the other end of an idle connection is still there."""
