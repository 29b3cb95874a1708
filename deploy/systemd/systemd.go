// Package systemd holds the unit of sally-host agent, so that what sally-host setup
// installs and what a package brings are one text.
package systemd

import _ "embed" // for the unit

// AgentUnit is what systemd calls the agent's unit.
const AgentUnit = "sally-host.service"

// Agent is the unit as it is installed where nothing is elsewhere.
//
//go:embed sally-host.service
var Agent string
