import Runtime

await StageProcess.graphPropagator()
