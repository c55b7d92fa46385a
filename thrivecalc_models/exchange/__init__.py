"""Export the table, or one user's part of it, to files, and import it, item by item."""

from thrivecalc_models.errors import FileProblem
from thrivecalc_models.exchange.columns import Mapped
from thrivecalc_models.exchange.exporting import Exported, export_table
from thrivecalc_models.exchange.files import Disk
from thrivecalc_models.exchange.importing import Counts, Imported, Options, check_file, import_file
from thrivecalc_models.exchange.rows import Refusal

__all__ = [
    "Counts",
    "Disk",
    "Exported",
    "FileProblem",
    "Imported",
    "Mapped",
    "Options",
    "Refusal",
    "check_file",
    "export_table",
    "import_file",
]
