"""The viewer of conversations: one HTML file that opens without a server and asks the network for nothing.

Tables in, text out. What a model said is data throughout: it is embedded as JSON, written into the page as text, and
the page's Content-Security-Policy lets nothing run but the one script whose digest it names.
"""
