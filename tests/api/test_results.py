"""What a job has found, through the API."""

