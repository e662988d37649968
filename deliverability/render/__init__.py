"""Report -> bytes. May import model and judge; knows nothing of gathering, nor where reports go."""
