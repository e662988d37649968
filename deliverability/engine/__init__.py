"""One audit: facts are gathered, judged and reported; remedies are drafted and rehearsed."""
