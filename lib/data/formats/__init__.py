"""The formats that datasets are published in, one file each; a dataset's row names its reader.

A reader takes the dataset and its `Members` (None where a library brings the images), and returns the train and the
test `Part`.
"""
