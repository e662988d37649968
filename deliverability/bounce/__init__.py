"""Bounces and replies explained. Pure but for the loading of the catalogue; may import mail and model."""
