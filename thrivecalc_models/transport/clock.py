"""The time in signatures, corrected if this machine's clock is wrong."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime

from thrivecalc_models.operations.replies import Failure, FailureKind

_SKEW_THAT_MATTERS = 240.0  # seconds; AWS takes a signature that is up to five minutes off
_TOO_OLD_OR_NEW = ("RequestTimeTooSkewed", "RequestExpired")
_TEXTS = ("Signature expired", "Signature not yet current")


class Clock:
    """This machine's clock, corrected by `skew` seconds, which refused requests show."""

    def __init__(self) -> None:
        self.skew = 0.0

    def now(self) -> float:
        """The service's time in Unix seconds, as known from refused requests."""
        return time.time() + self.skew

    def signs_anew(self, failure: Failure, date: str | None, skew: float) -> bool:
        """Whether a refused request that was signed with this skew should be signed again.

        It should if the service's clock (`date`, its header) disagrees with the signature, which
        corrects the skew from now on, and if the signature was too old: the process may have been
        suspended between signing and sending. A request refused for its time was not applied.
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
