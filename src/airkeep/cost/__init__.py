"""What Airflow costs: dated prices, the estimate of a month, and who a period's bill is for."""
