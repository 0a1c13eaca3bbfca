"""Bytes at a URL: a local folder, S3, Google Cloud Storage, Azure, or memory.

`interface.py` says what a store promises, `open.py` turns a URL into one. `objects.py` is
every object store through obstore, `local.py` a folder; `retry.py` and `failure.py` decide
what is tried again and what a failure is called. Nothing here knows what the bytes mean.
"""

from airkeep.store.interface import UPLOADS, Entry, Store
from airkeep.store.open import open_store
from airkeep.store.retry import Retry

__all__ = ["UPLOADS", "Entry", "Retry", "Store", "open_store"]
