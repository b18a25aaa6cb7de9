"""Changed copies of images: shifts, common corruptions in five severities, augmented views."""
