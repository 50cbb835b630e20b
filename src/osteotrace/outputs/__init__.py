"""What a run leaves behind: ``workup.json``, masks, tables, figures, report; and de-identification."""

from osteotrace.outputs.deidentify import deidentify
from osteotrace.outputs.write import write_outputs

__all__ = ["deidentify", "write_outputs"]
