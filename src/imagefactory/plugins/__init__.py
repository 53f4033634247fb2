"""The contracts that plugins fulfil, and the registry that finds them."""
