package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// versionCmd is zetagrid version.
type versionCmd struct {
	JSON bool `name:"json" help:"Print JSON."`
}

func (*versionCmd) Help() string {
	return examples(example{"zetagrid version", "what to name in a report"})
}

// versionJSON is the output of zetagrid version --json.
type versionJSON struct {
	Version    string `json:"version"`    // of the module, or "(devel)"
	Revision   string `json:"revision"`   // commit, if built from a checkout
	Go         string `json:"go"`         // compiler
	Platform   string `json:"platform"`   // os/architecture
	Arithmetic int    `json:"arithmetic"` // version of the exact arithmetic
}

func (c *versionCmd) Run(s *streams) error {
	v := buildVersion()
	if c.JSON {
		return s.printJSON(v)
	}
	_, err := fmt.Fprintf(s.out, "zetagrid %s %s (%s, %s, arithmetic %d)\n", v.Version, v.Revision, v.Go, v.Platform, v.Arithmetic)
	return err
}

func buildVersion() versionJSON {
	v := versionJSON{
		Version: "(devel)", Revision: "unknown", Go: runtime.Version(),
		Platform: runtime.GOOS + "/" + runtime.GOARCH, Arithmetic: 1,
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if info.Main.Version != "" {
		v.Version = info.Main.Version
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			v.Revision = setting.Value
		}
	}
	return v
}
