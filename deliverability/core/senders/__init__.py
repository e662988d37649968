"""Sending services: what is known of them, and how they are recognised."""
