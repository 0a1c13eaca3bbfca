"""One small program per contestant: what somebody would write who uses that library well.

Each is started as `python peers/<name>.py OUT TABLE...` with the address in `BENCH_URL`, runs in
a virtual environment of its own where its libraries are not airkeep's, and imports nothing of ours.
"""
