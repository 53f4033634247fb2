"""Use cases: accepting a request, planning it, and carrying it out."""
