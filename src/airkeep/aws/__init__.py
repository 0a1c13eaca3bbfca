"""Amazon Web Services: one file a service, and the only place that imports boto3."""
