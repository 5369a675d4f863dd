"""The report: a study's chapters, executed and joined into one HTML file and one PDF."""
