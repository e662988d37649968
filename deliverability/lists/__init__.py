"""`deliv list-check`: what a list of recipients holds, without sending anything."""

from __future__ import annotations
