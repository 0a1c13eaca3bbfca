"""Questions with their answers: one .sql a table, in SQL that DuckDB, Spark and Trino all take."""
