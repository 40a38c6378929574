"""Follow packets through compiled or observed hosts, and say at every step what decided.

    Walker(Scene(states, surroundings, world)).walk(probe) → Trace

One noun a file: packet, conntrack, fib (rules and tables), rpf, matches and hooks (the typed firewall), gate (all
that stands at a hook), source, host, path (one host in the kernel's order), natbox, underlay (NATs and the internet),
tunnel, faults, places, walker. `live` reads the kernel's own trace, `words` says each step in a line.
"""

from warren.core.walk.faults import (
    Chosen,
    DefaultHijacked,
    DeviceGone,
    Fault,
    FirewallGone,
    HostDown,
    RulesGone,
    TableFlushed,
    TunnelDown,
    faults_of,
)
from warren.core.walk.places import probe_of, probes_of, spot_of
from warren.core.walk.scene import Probe, Scene
from warren.core.walk.walker import Walker

__all__ = [
    "Chosen",
    "DefaultHijacked",
    "DeviceGone",
    "Fault",
    "FirewallGone",
    "HostDown",
    "Probe",
    "RulesGone",
    "Scene",
    "TableFlushed",
    "TunnelDown",
    "Walker",
    "faults_of",
    "probe_of",
    "probes_of",
    "spot_of",
]
