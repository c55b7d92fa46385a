"""A CloudFormation template, alarms, IAM policies and costs of the table.

Pure functions turn settings and numbers into values that the command prints.
"""

from thrivecalc_models.infra.alarms import alarms_template
from thrivecalc_models.infra.cost import Estimate, OperationCost, Usage, estimate, operation_costs
from thrivecalc_models.infra.policies import ROLES, policy
from thrivecalc_models.infra.prices import GUIDE, PRICE_LISTS, Prices, read_price, read_prices
from thrivecalc_models.infra.sample import Sample, mean
from thrivecalc_models.infra.template import table_template

__all__ = [
    "GUIDE",
    "PRICE_LISTS",
    "ROLES",
    "Estimate",
    "OperationCost",
    "Prices",
    "Sample",
    "Usage",
    "alarms_template",
    "estimate",
    "mean",
    "operation_costs",
    "policy",
    "read_price",
    "read_prices",
    "table_template",
]
