"""Wire protocols without I/O: bytes, the time and randomness come in as arguments, bytes and events come out."""
