"""The command line."""

from osteotrace.cli.app import main

__all__ = ["main"]
