"""The Set-of-Marks engine, and other images composed of known objects at known places."""
