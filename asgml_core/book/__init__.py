"""The book: executed, built, printed, looked at in a browser, and told where it comes from.

``building`` executes notebooks and makes the pages; ``executed`` knows which stored notebooks are
current, ``pages`` what the pages hold, ``publishing`` what they are told, ``run_box`` what stands
below each notebook, ``printing`` makes the PDF, ``browser`` looks at pages, and ``about`` says how
all of it was run.
"""
