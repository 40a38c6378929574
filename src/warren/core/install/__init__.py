"""What a host's init system is given, so that its networks come back with it: files, and what is enabled of them."""
