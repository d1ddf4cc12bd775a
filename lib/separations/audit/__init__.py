"""Does a model copy its training data? An audit of generated samples against the data, with intervals and a page to judge by."""
