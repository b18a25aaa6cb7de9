"""File formats of data sets: folders, tables, arrays, IDX files, image lists."""
