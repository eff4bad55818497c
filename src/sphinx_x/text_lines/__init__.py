"""Lines of text and objects in an image: `line` has one and all of an image, `reader.LineReader` finds them."""
