"""One program per client under test; each is run by itself, in an interpreter that has what it needs."""
