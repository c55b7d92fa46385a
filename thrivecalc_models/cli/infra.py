"""`thrivecalc infra`: a CloudFormation template, alarms, IAM policies."""

from __future__ import annotations

import json
from typing import Any

import click

from thrivecalc_models.cli.common import Group, Session, UsageProblem, table_options
from thrivecalc_models.infra import ROLES, alarms_template, policy, table_template
from thrivecalc_models.table import Settings, resolve_settings

infra = Group("infra", help="Print a template of the table, alarms or IAM policies. Sends nothing.")


_format = click.option(
    "--format",
    "form",
    type=click.Choice(["json", "yaml"]),
    default="json",
    show_default=True,
    help="CloudFormation accepts both.",
)


@infra.command(
    help="""Print a CloudFormation template of the table, with alarms.

    It has the keys, the index, TTL, point-in-time recovery, encryption and deletion protection. The
    table stays when its stack is deleted. Parameters: TableName and AlarmTopic, the SNS topic that
    receives the alarms.
    """
)
@_format
@table_options
def cloudformation(session: Session, form: str) -> None:
    """Print the template of the table."""
    _print(session, table_template(_settings(session).table_name), form)


@infra.command(
    help="""Print a CloudFormation template of the alarms alone.

    They watch DynamoDB's metrics of the table: more than 1 % of the reads, or of the writes,
    failed; more than 1 % of the requests were refused; a request was throttled.
    """
)
@_format
@table_options
def alarms(session: Session, form: str) -> None:
    """Print the template of the alarms."""
    _print(session, alarms_template(_settings(session).table_name), form)


@infra.command(
    "iam-policy",
    help="""Print an IAM policy for the table.

    \b
    service   read and write users' records, in batches and transactions too
    user      the same for one user's records only, without Scan
    reader    read the whole table and its settings, and change nothing
    operator  all that this command does: backups, restores, scans, the table
    """,
)
@click.option(
    "--for",
    "role",
    type=click.Choice(ROLES),
    default="service",
    show_default=True,
    help="Who the policy is for; see above.",
)
@click.option(
    "--account",
    metavar="DIGITS",
    default="*",
    help="The AWS account of the table. Default: any.",
)
@click.option(
    "--user",
    metavar="USER",
    help="With --for user: the user id. Default: whoever is signed in with Google.",
)
@click.option(
    "--batch-updates",
    is_flag=True,
    help="Also allow what a DataStore with batch_updates=True sends.",
)
@table_options
def iam_policy(
    session: Session, role: str, account: str, user: str | None, batch_updates: bool
) -> None:
    """Print the policy of a role."""
    if batch_updates and role == "reader":
        raise UsageProblem("--batch-updates goes with the roles that write; a reader does not")
    if user is not None and role != "user":
        raise UsageProblem("--user goes with --for user; the other roles are for all users")
    settings = _settings(session)
    document = policy(
        role,
        table_name=settings.table_name,
        region=settings.region,
        account=account,
        user_id=user,
        batch_updates=batch_updates,
    )
    session.emit(document)


def _settings(session: Session) -> Settings:
    table_name, region, endpoint = session.given.values()
    return resolve_settings(table_name=table_name, region=region, endpoint=endpoint)


def _print(session: Session, template: dict[str, Any], form: str) -> None:
    """Print a template as JSON or YAML. Raises UsageProblem if PyYAML is missing."""
    if form == "json" or session.json:
        session.emit(template)
        return
    try:
        import yaml  # type: ignore[import-untyped]
    except ModuleNotFoundError as missing:
        raise UsageProblem(
            "YAML needs PyYAML, which is not installed here: pip install pyyaml, or use --format"
            " json, which CloudFormation accepts too"
        ) from missing
    # A copy through JSON holds no object twice, which YAML would print as references.
    apart = json.loads(json.dumps(template))
    click.echo(yaml.safe_dump(apart, sort_keys=False, allow_unicode=True, width=100), nl=False)
