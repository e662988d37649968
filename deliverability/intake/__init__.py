"""`deliv intake` and `deliv show-report`: reports, bounces, complaints, events and logs, read and kept."""
