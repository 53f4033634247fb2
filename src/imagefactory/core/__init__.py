"""Values: templates, images, parameters, errors; nothing here does I/O."""
