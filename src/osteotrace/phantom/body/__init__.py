"""The phantom's anatomy: procedural bodies, and bodies from label maps."""

from osteotrace.phantom.body.build import build_body, label_at
from osteotrace.phantom.body.from_labels import body_from_labels
from osteotrace.phantom.body.options import BodyOptions

__all__ = ["BodyOptions", "body_from_labels", "build_body", "label_at"]
