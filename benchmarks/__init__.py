"""What airkeep costs, beside what else could do its work (docs/benchmarks.md).

`run` measures the contests, `large` one table of 10 M rows. `data` makes the databases, `meter`
measures one process, `contest` lets several take turns, `report` prints and writes the tables;
`peers/` holds one small program per contestant.
"""
