"""osteotrace: one identity per bone lesion across MR, CT, bone scan and PET, and across time."""

__version__ = "0.1.0"
