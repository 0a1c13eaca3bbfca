"""Our own command line, run where the database can be reached, and waited for."""
