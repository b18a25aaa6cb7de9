"""The flow of each verb, with its inputs, finished stages and cards."""
