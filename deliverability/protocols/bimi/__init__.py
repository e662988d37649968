"""BIMI (draft-brand-indicators-for-message-identification): the record, where it stands, and the logo."""
