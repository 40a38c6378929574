"""Values that every other layer shares: frozen, typed, and made of the standard library alone."""
