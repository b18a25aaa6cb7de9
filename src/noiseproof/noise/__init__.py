"""Wrong labels, injected under control."""
