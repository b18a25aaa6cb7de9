"""The data sets of the papers by name, with the sizes and classes they must have."""
