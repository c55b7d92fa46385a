"""The time that a signature states, where this machine's clock or the way of a request is slow."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime

from thrivecalc_models.operations.replies import Failure, FailureKind

_SKEW_THAT_MATTERS = 240.0  # seconds; AWS takes a signature that is up to five minutes off
_TOO_OLD_OR_NEW = ("RequestTimeTooSkewed", "RequestExpired")
_TEXTS = ("Signature expired", "Signature not yet current")


class Clock:
    """This machine's clock, corrected by `skew` seconds, which refused requests teach."""

    def __init__(self) -> None:
        self.skew = 0.0

    def now(self) -> float:
        """The service's time in Unix seconds, as far as it is known."""
        return time.time() + self.skew

    def signs_anew(self, failure: Failure, date: str | None, skew: float) -> bool:
        """Whether a request that was signed with this skew deserves another signature.

        It does where the service's clock (`date`, its header) disagrees with the signature, which
        is then corrected from now on, and where the signature was too old: the process may have
        stood still between signing and sending. A request refused for its time was not applied.
        """
        if failure.kind is not FailureKind.CREDENTIALS:
            return False
        server = _seconds(date)
        if server is not None and abs(server - time.time() - skew) >= _SKEW_THAT_MATTERS:
            self.skew = server - time.time()
            return True
        return failure.code in _TOO_OLD_OR_NEW or failure.message.startswith(_TEXTS)


def _seconds(date: str | None) -> float | None:
    try:
        return None if date is None else parsedate_to_datetime(date).timestamp()
    except ValueError:
        return None
