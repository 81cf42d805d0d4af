"""The environments as others take them: Gymnasium, vector, asynchronous batch, discretised view."""
