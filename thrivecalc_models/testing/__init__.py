"""For tests: a simulated table with virtual time and faults, and Hypothesis strategies.

`simulated_store(table)` is a DataStore whose requests go to a `SimulatedTable` and whose waits take
no time, `simulated_async_store(table)` an AsyncDataStore. The strategies are in
`thrivecalc_models.testing.strategies`, which needs hypothesis.
"""

from thrivecalc_models.testing import faults
from thrivecalc_models.testing.simulation import SimulatedTable
from thrivecalc_models.testing.stores import simulated_async_store, simulated_store

__all__ = ["SimulatedTable", "faults", "simulated_async_store", "simulated_store"]
