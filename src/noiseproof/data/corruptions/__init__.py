"""Common corruptions of pictures, in five severities."""
