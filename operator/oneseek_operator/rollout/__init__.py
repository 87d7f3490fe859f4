"""How a new version takes over: the plan, one file a strategy, analysis, handover, drain. Pure."""
