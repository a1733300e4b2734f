import CLI

await TwinscaleCommand.start()
