"""Image-text models of open_clip, their text towers and the wording of class names."""
