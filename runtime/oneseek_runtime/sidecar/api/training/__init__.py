"""`/api/training/*`, `/api/autonomy/*`, micro-train, `/ws/training`."""
