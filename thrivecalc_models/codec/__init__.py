"""Conversion between payloads and stored maps: the only code that knows both spellings."""

from thrivecalc_models.codec.data import (
    Origins,
    check_mapping,
    decode_data,
    decode_payload,
    edited_fields,
    edited_names,
    encode_data,
    encode_plain_map,
    has_origins,
    has_values,
    kept_as_read,
    undeclared,
    undeclared_names,
)
from thrivecalc_models.codec.numbers import Encoding, encoding_of
from thrivecalc_models.codec.pydantic import fill_hooks
from thrivecalc_models.codec.scalars import scalar_of
from thrivecalc_models.codec.spelling import check_form, kind_below, misspelt
from thrivecalc_models.codec.stored import PAYLOAD_CLASSES, decode_stored, is_regular
from thrivecalc_models.codec.values import Unfit, check_name, decode_plain, encode_plain, kind_name

__all__ = [
    "PAYLOAD_CLASSES",
    "Encoding",
    "Origins",
    "Unfit",
    "check_form",
    "check_mapping",
    "check_name",
    "decode_data",
    "decode_payload",
    "decode_plain",
    "decode_stored",
    "edited_fields",
    "edited_names",
    "encode_data",
    "encode_plain",
    "encode_plain_map",
    "encoding_of",
    "has_origins",
    "has_values",
    "is_regular",
    "kept_as_read",
    "kind_below",
    "kind_name",
    "misspelt",
    "scalar_of",
    "undeclared",
    "undeclared_names",
]

fill_hooks()
