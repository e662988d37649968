"""`deliv slim`: a lighter copy of a message, images and HTML saved smaller, nothing lost."""

from __future__ import annotations
