"""From an image of a page to its lines: `page.lay_flat` flattens and cuts it, the other modules are its steps."""
