"""Reports for people: HTML pages of figures and pictures, all from one template."""
