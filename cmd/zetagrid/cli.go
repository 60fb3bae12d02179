package main

// cli is the command line. It is a contract: names, flags and JSON are kept.
type cli struct {
	Up        upCmd        `cmd:"" help:"Join or start a grid, and serve the HTTP API."`
	Demo      demoCmd      `cmd:"" help:"Answer a prompt through three nodes in one process."`
	Run       runCmd       `cmd:"" help:"Stream a completion of a prompt."`
	Model     modelCmd     `cmd:"" help:"Import, make, inspect and verify models."`
	Grid      gridCmd      `cmd:"" help:"Look at a running grid."`
	Logits    logitsCmd    `cmd:"" help:"Print the logits after a prompt's last byte."`
	Plan      planCmd      `cmd:"" help:"Find out which GPUs hold which model, and how fast."`
	Eval      evalCmd      `cmd:"" help:"Measure a model."`
	Bench     benchCmd     `cmd:"" help:"Measure this machine."`
	Doctor    doctorCmd    `cmd:"" help:"Find out what is wrong with this node, its network or its device."`
	Bootstrap bootstrapCmd `cmd:"" help:"Run a peer that helps others find each other."`
	Version   versionCmd   `cmd:"" help:"Print the version and what computes."`
}

// example is a command and what it does, for --help.
type example struct{ line, does string }

// examples formats the examples of a command's help.
func examples(list ...example) string {
	text := "Examples:\n"
	for _, e := range list {
		text += "\n    # " + e.does + "\n    " + e.line + "\n"
	}
	return text
}
