"""Lines of text in an image: `line.TextLine` is one, `reader.LineReader` finds and spells them."""
