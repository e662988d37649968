"""`deliv listen`: test messages caught over SMTP or uploaded, kept, audited and shown."""
