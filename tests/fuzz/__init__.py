"""
Fuzzing of every reader, guided by what of the code is reached: ``python -m tests.fuzz``.

What a reader may do with any bytes is to read them, or to raise one of our errors; it does not hang, and
writes nothing.
"""
