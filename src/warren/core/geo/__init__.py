"""Which addresses a country or a published list holds: registry files and lists in, exact prefixes out."""
