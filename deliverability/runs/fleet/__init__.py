"""A whole fleet of domains: gathered and judged shard by shard into a folder, and read from there."""
