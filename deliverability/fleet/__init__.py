"""`deliv fleet`: many domains at once, gathered and judged shard by shard into a folder."""
