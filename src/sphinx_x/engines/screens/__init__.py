"""Screens of HTML manuals, as Chromium shows them, so that every word and heading is known with its box."""
