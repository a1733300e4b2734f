import Runtime

await StageProcess.normalizer()
