"""The shape of an item on the wire: DynamoDB's JSON, with binary values as base64 text."""

from __future__ import annotations

from typing import Any, TypeAlias

AttributeValue: TypeAlias = dict[str, Any]
Item: TypeAlias = dict[str, AttributeValue]
