"""Files: atomic writes, locks, tables and pictures. Import what you need from the modules."""
