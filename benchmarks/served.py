"""How one kind of request was answered."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Served:
    """Figures of many requests of one kind, at one pace."""

    request: str
    pace: str
    rate: float  #: answers in a second
    median: float  #: seconds
    p99: float  #: seconds
    worst: float  #: seconds
    server_cpu: float  #: seconds for each request
    client_cpu: float  #: seconds for each request
