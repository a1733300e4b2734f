// TaskLoop
