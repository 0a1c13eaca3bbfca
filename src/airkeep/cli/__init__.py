"""What the command line is made of: a file a command, `main` above them."""
