"""Test mailboxes of the user's own: where test mails landed. It reads them without a trace, and sends nothing."""
