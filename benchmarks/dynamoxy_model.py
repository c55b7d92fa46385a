"""dynamoxy's model of the savings goal; a module of its own, since it reads annotations."""

from typing import Any

import dynamoxy

from benchmarks import goal


class Record(dynamoxy.Model, table=goal.TABLE):
    userId: dynamoxy.Attr[str] = dynamoxy.partition_key()
    recordKey: dynamoxy.Attr[str] = dynamoxy.sort_key()
    dataType: dynamoxy.Attr[str]
    recordId: dynamoxy.Attr[str]
    data: dynamoxy.Attr[dict[str, Any]]
    createdAt: dynamoxy.Attr[str]
    updatedAt: dynamoxy.Attr[str]
