"""Test sends: messages caught over SMTP or uploaded, kept, audited and shown (`deliv listen`)."""
