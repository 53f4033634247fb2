"""The HTTP interface: parse a request, call the factory, show the result."""
