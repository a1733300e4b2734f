import Runtime

await StageProcess.driftDetector()
