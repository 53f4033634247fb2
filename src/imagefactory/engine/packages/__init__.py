"""Package managers: how packages are resolved, fetched and unpacked."""
