package client

import (
	"runtime"
	"runtime/debug"
)

// VersionOptions are the settings of [Version].
type VersionOptions struct {
	Env
	JSON bool
}

// versionResult is what --json prints.
type versionResult struct {
	Version string `json:"version"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

// Version prints which sally this is. It uses no network.
func Version(o VersionOptions) error {
	if o.JSON {
		return o.printJSON(versionResult{version(), runtime.Version(), runtime.GOOS, runtime.GOARCH})
	}
	return o.print("sally " + version() + " (" + runtime.Version() + ", " + runtime.GOOS + "/" + runtime.GOARCH + ")")
}

// version is what the build recorded: a release's tag, or the commit's
// pseudo-version.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
