"""Data sets by short names: folders, tables, archives of features, public sets."""
