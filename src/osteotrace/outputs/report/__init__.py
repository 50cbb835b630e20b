"""``report.html``: sections are declared in ``sections.toml``, texts in templates; code only assembles."""

from osteotrace.outputs.report.render import render_html

__all__ = ["render_html"]
