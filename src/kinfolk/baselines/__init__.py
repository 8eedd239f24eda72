"""Room 6. Receives views of a log and candidates with their seeds, hands on scores: what kinfolk is compared with.

Every file is one idea behind the interface of `method.py`; `registry.py` knows them by name.
"""
