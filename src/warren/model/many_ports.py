"""The ports from which a host behind a hard NAT sends its many probes, and how its own packets are known.

The compiler's rules and the agent must agree on both, so they stand here. The ports lie above those that Linux lends
to programs by itself (ip_local_port_range: 32768 to 60999).
"""

from __future__ import annotations

FIRST_PORT, MANY = 61440, 256
LAST_PORT = FIRST_PORT + MANY - 1
HEAD = 0x77726E01  # the first four bytes of every packet of the rendezvous protocol: "wrn" and its version
