import Runtime

await StageProcess.scalingDecider()
