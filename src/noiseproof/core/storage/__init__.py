"""Files that are written whole and read with care: a reader per format, checksums, marks, locks."""
