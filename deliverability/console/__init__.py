"""What commands share: options, types, language, inputs, output, progress, endings."""
