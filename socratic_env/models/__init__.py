"""Language models: an endpoint, a local model in this process, a dialogue as token ids."""
