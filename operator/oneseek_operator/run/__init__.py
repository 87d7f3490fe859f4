"""What a TrainingRun needs next: queueing, its Jobs, its status. Pure."""
