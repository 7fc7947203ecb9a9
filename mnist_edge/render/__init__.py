"""Every report as text, Markdown or HTML."""
