"""Other libraries' interfaces, so that scripts written for them run on ert with one import changed."""
