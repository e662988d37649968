"""A lighter copy of a message: images and HTML saved smaller, nothing lost."""
