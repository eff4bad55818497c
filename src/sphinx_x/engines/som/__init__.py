"""The Set-of-Marks engine, and other pictures made of known objects at known places."""
