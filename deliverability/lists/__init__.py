"""Lists of recipients: read as they are exported, and each address put into a segment."""
