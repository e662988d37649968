"""Bounces and replies explained."""
