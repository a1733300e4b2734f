import API

await APIProcess.main()
