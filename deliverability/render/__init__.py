"""Report -> bytes. May import model and judge.words; knows nothing of auditors."""
