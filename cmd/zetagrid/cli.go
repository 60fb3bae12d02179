package main

// cli is the command line. It is a contract: names, flags and JSON are kept.
type cli struct {
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
