"""The lab: a whole network, its hosts, NATs and an internet, in namespaces on one machine."""
