"""What a labelled set is like, as charts, sentences and one HTML file."""
