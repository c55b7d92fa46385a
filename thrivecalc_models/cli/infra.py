"""`thrivecalc infra`: a CloudFormation template, alarms, IAM policies."""

from __future__ import annotations

import json
from typing import Any

import click

from thrivecalc_models.cli.common import Group, Session, UsageProblem, table_options
from thrivecalc_models.infra import ROLES, alarms_template, policy, table_template
from thrivecalc_models.table import Settings, resolve_settings

infra = Group(
    "infra", help="Print what surrounds the table: a template, alarms, policies. Sends nothing."
)


_format = click.option(
    "--format",
    "form",
    type=click.Choice(["json", "yaml"]),
    default="json",
    show_default=True,
    help="CloudFormation takes both.",
)


@infra.command(
    help="""Print a CloudFormation template of the table, with alarms.

    It has the keys, the index, TTL, point-in-time recovery, encryption and deletion protection. The
    table stays when its stack is deleted. Parameters: TableName and AlarmTopic, the SNS topic that
    is told of alarms.
    """
)
@_format
@table_options
def cloudformation(session: Session, form: str) -> None:
    _print(session, table_template(_settings(session).table_name), form)


@infra.command(
    help="""Print a CloudFormation template of the alarms alone.

    They watch the metrics that DynamoDB keeps of a table: more than 1 % of the reads, or writes,
    failed; more than 1 % were refused; anything was throttled.
    """
)
@_format
@table_options
def alarms(session: Session, form: str) -> None:
    _print(session, alarms_template(_settings(session).table_name), form)


@infra.command(
    "iam-policy",
    help="""Print an IAM policy for the table.

    \b
    service   reads and writes users' records, in batches and transactions too
    user      the same for one user's records only, and no Scan
    reader    reads the whole table and how it is set up, and changes nothing
    operator  all that this command does: backups, restores, scans, the table
    """,
)
@click.option(
    "--for",
    "role",
    type=click.Choice(ROLES),
    default="service",
    show_default=True,
    help="Who is to have it; see above.",
)
@click.option(
    "--account",
    metavar="DIGITS",
    default="*",
    help="The AWS account of the table; without it the policy leaves that open.",
)
@click.option(
    "--user",
    metavar="USER",
    help="With --for user: the user id. Default: whoever is signed in with Google.",
)
@table_options
def iam_policy(session: Session, role: str, account: str, user: str | None) -> None:
    if user is not None and role != "user":
        raise UsageProblem("--user goes with --for user; the other roles are for all users")
    settings = _settings(session)
    document = policy(
        role,
        table_name=settings.table_name,
        region=settings.region,
        account=account,
        user_id=user,
    )
    session.emit(document)


def _settings(session: Session) -> Settings:
    return resolve_settings(
        table_name=session.given["table_name"],
        region=session.given["region"],
        endpoint=session.given["endpoint"],
    )


def _print(session: Session, template: dict[str, Any], form: str) -> None:
    if form == "json" or session.json:
        session.emit(template)
        return
    try:
        import yaml  # type: ignore[import-untyped]
    except ModuleNotFoundError as missing:
        raise UsageProblem(
            "YAML needs PyYAML, which is not installed here: pip install pyyaml, or use --format"
            " json, which CloudFormation takes as well"
        ) from missing
    # Once through JSON, so that nothing is the same object twice: YAML would print references.
    apart = json.loads(json.dumps(template))
    click.echo(yaml.safe_dump(apart, sort_keys=False, allow_unicode=True, width=100), nl=False)
