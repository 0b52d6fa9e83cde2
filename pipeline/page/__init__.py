"""The report page: what is said about the inputs (facts), how it is drawn (charts) and laid out (templates)."""
