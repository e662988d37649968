"""Measurements beside the peers, as ratios: `make bench` runs them all and fills docs/performance.md."""
