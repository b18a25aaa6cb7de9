"""The ground floor: errors, records, checks, files, threads, random numbers; knows nothing of the rest."""
