package main

import (
	"github.com/spf13/cobra"
)

// usageTemplate is what stands below a verb's description: how it is called, an
// example, the verbs below it, and its flags.
const usageTemplate = `Usage:
  {{if .HasAvailableSubCommands}}{{.CommandPath}} VERB{{else}}{{.UseLine}}{{end}}
{{- if .HasExample}}

Examples:
{{.Example}}{{end}}
{{- if .HasAvailableSubCommands}}{{$verbs := .Commands}}{{range $group := .Groups}}

{{.Title}}{{range $verbs}}{{if eq .GroupID $group.ID}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}{{if not .AllChildCommandsHaveGroup}}

Verbs:{{range $verbs}}{{if and (eq .GroupID "") .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}{{end}}

Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}
{{- if .HasAvailableSubCommands}}

{{.CommandPath}} VERB --help shows more about a verb.{{end}}
{{- with index .Annotations "after"}}

{{.}}{{end}}
`

// setHelp gives every verb its help.
func setHelp(root *cobra.Command) {
	root.SetHelpCommand(newHelp())
	root.SetHelpCommandGroupID("more")
	root.SetUsageTemplate(usageTemplate)
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		addHelp(c)
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(root)
}

// rootHelp is what stands below the list of verbs.
const rootHelp = `Environment:
  SALLY_SERVER   the server's URL, instead of the one of the last login
  SALLY_PIN      the pin file, instead of the one of the last login
  SALLY_STATE    the state folder; default $XDG_STATE_HOME/sallyport, else
                 ~/.local/state/sallyport
  NO_COLOR       no colour
  LC_ALL, LC_CTYPE, LANG
                 where they do not name UTF-8, all but ASCII is spelled out

Exit codes:
  0 done    1 failed    2 usage    3 denied, expired or cancelled
  4 log in first    5 waited long enough, the request is still open
  6 server unreachable    7 the contract forbids it    130 interrupted`

// newHelp shows the help of a verb. cobra's own takes a verb that there is not for
// a reason to show something else, and says that all is well.
func newHelp() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "help [VERB]...",
		Short:             "Show what a verb does, its flags and an example",
		GroupID:           "more",
		Example:           `  sally help ledger show`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			of, rest, err := cmd.Root().Find(args)
			if err == nil && len(rest) > 0 {
				err = onlyVerbs(of, rest)
			}
			if err != nil {
				return usageError(of, err)
			}
			of.InitDefaultHelpFlag()
			return of.Help()
		},
	}
	addHelp(cmd)
	return cmd
}

func addHelp(cmd *cobra.Command) { cmd.Flags().BoolP("help", "h", false, "show this help") }
