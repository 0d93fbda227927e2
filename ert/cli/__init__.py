"""The command line: a function that adds the options of a command, and one that runs it, together in a file."""
