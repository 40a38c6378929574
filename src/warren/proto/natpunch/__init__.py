"""The protocol of natpunch-go (github.com/malcolmseyd/natpunch-go), both sides of it: machines without I/O."""
