"""In every process of a run with `--transport botocore`: a handler, as a tracing tool would add it.

A store that may choose its transport then takes botocore's, which such handlers can see.
"""

import botocore.handlers


def watched(**_: object) -> None:
    pass


botocore.handlers.BUILTIN_HANDLERS.append(("before-send.dynamodb", watched))
