-- How large each table was at each snapshot, as the manifests say.
-- grain: one table of one snapshot
-- key: environment, table_name, taken_at
-- units: taken_at UTC; rows of the table at that time; bytes of its Parquet files, NULL where an increment saved what changed only
-- leaves out: tables of which a window took some rows
-- made: table_sizes(environment text, snapshot text, taken_at instant, table_name text, rows integer, bytes integer) from manifests
SELECT environment, table_name, taken_at, rows, bytes, snapshot
FROM made_table_sizes
