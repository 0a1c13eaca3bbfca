"""An environment of Amazon MWAA: AWS makes and deletes it, our commands run in it as jobs."""
