"""wg-quick's confs: read with positions, compiled to the HostState of their owner, stripped, saved."""
