"""Lines of text in an image: `line` has one and all of an image, `reader.LineReader` finds and spells them."""
