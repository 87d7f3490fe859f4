"""The records service of one model: its queries and its ledger, appended once, durable before they are acknowledged."""
