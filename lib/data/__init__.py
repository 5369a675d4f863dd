"""The datasets' images: where they come from (`sources`), how they are stored (`preparation`) and read (`store`)."""
