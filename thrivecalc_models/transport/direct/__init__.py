"""The direct transport: libcurl, for a fraction of the work of botocore's pipeline."""

from thrivecalc_models.transport.direct.transport import DirectTransport

__all__ = ["DirectTransport"]
