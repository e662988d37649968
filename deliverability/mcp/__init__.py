"""`deliv mcp`: audits for assistants, over the Model Context Protocol on standard input and output.

Reads requests as JSON lines and answers each with a result of one of the read-only tools in tools.py, which stand on
the Python API. Writes nothing but its answers: no file, no mail, no connection to port 25 or to what a mail names.
"""
