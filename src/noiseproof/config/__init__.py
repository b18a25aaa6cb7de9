"""What a user asks of each verb: one pydantic model per flow, on a shared `DataConfig`."""
