"""What every feature stands on. Nothing here knows of a feature, of the command line or of the user's settings."""
