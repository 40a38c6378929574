"""Warren: one file that says what a WireGuard network should do; compiled, proved, applied, explained."""

__version__ = "0.1.0"
