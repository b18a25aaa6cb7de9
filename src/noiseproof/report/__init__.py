"""Tables, figures and the page; reads a run folder, computes nothing."""
