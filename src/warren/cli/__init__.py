"""The commands: one file per command, which reads its arguments, calls the verbs below and shows what they gave."""
