import Runtime

await StageProcess.twinUpdater()
