"""From a picture of a page to its lines: `page.lay_flat` makes it flat and cuts it, the other modules are its steps."""
