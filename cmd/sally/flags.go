package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sallyport/sallyport/client"
)

// value is a flag's value. Every flag is given at most once, if it is no list, is
// not empty, not long, and plain text; parse refuses what else is no value of it.
type value struct {
	parse func(string) error
	kind  string
	most  int // bytes
	list  bool
	given bool
	text  string
}

// misuse is a refusal that does not repeat the value.
type misuse struct{ text string }

func (e *misuse) Error() string { return e.text }

// Set implements pflag.Value.
func (v *value) Set(s string) error {
	switch {
	case v.given && !v.list:
		return &misuse{"it is given twice; give it once"}
	case s == "":
		return &misuse{"it is empty; give it a value"}
	case len(s) > v.most:
		return &misuse{fmt.Sprintf("%d bytes, at most %d", len(s), v.most)}
	case !utf8.ValidString(s):
		return &misuse{"it is not UTF-8 text"}
	}
	for _, r := range s { // as a server refuses them
		if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
			return &misuse{fmt.Sprintf("it holds the invisible character %U; type it as one line of plain text", r)}
		}
	}
	v.given, v.text = true, s
	return v.parse(s)
}

// String implements pflag.Value.
func (v *value) String() string { return v.text }

// Type implements pflag.Value.
func (v *value) Type() string { return v.kind }

// addText adds a flag whose value is a text of at most so many bytes.
func addText(cmd *cobra.Command, into *string, name string, most int, usage string) {
	addShortText(cmd, into, name, "", most, usage)
}

// addShortText is addText for a flag that can be written as one letter, too.
func addShortText(cmd *cobra.Command, into *string, name, letter string, most int, usage string) {
	cmd.Flags().VarP(&value{kind: "string", most: most, parse: func(s string) error {
		*into = s
		return nil
	}}, name, letter, usage)
}

// addTexts is addText for a flag that is given once for each of at most so many
// texts.
func addTexts(cmd *cobra.Command, into *[]string, name string, texts, most int, usage string) {
	cmd.Flags().Var(&value{kind: "strings", most: most, list: true, parse: func(s string) error {
		switch {
		case slices.Contains(*into, s):
			return &misuse{"it is given twice; give it once"}
		case len(*into) == texts:
			return &misuse{fmt.Sprintf("given more than %d times", texts)}
		}
		*into = append(*into, s)
		return nil
	}}, name, usage+"; may be given several times")
}

// addSwitch adds a flag that is there or not.
func addSwitch(cmd *cobra.Command, into *bool, name, usage string) {
	f := cmd.Flags().VarPF(&value{kind: "bool", most: 32, parse: func(s string) error {
		on, err := strconv.ParseBool(s)
		if err != nil {
			return errors.New("true or false; the flag alone means true")
		}
		*into = on
		return nil
	}}, name, "", usage)
	f.NoOptDefVal = "true"
}

// addLength adds a flag whose value is a length of time.
func addLength(cmd *cobra.Command, into *time.Duration, name, usage string) {
	const longest = 366 * 24 * time.Hour
	cmd.Flags().Var(&value{kind: "duration", most: 32, parse: func(s string) error {
		d, err := time.ParseDuration(s)
		switch {
		case err != nil:
			return errors.New("not a length of time; write 90s, 10m or 1h30m")
		case d < time.Second || d > longest:
			return errors.New("from 1s to 8784h")
		}
		*into = d
		return nil
	}}, name, usage)
}

// addNumber adds a flag whose value is a whole number. Which numbers it takes, the
// verb says.
func addNumber(cmd *cobra.Command, into *int, name string, otherwise int, usage string) {
	*into = otherwise
	text := ""
	if otherwise != 0 {
		text = strconv.Itoa(otherwise)
	}
	cmd.Flags().Var(&value{kind: "int", most: 32, text: text, parse: func(s string) error {
		n, err := strconv.Atoi(s)
		switch {
		case errors.Is(err, strconv.ErrRange):
			return errors.New("too large a number")
		case err != nil:
			return errors.New("not a whole number")
		}
		*into = n
		return nil
	}}, name, usage)
}

// addJSON adds the flag that every verb with results has.
func addJSON(cmd *cobra.Command, into *bool) {
	addSwitch(cmd, into, "json", "print the result as one JSON object (sally/v1)")
}

// flagError makes a sentence of what is wrong with a flag: its name, what it takes,
// what was probably meant.
func flagError(cmd *cobra.Command, err error) error {
	if e, ok := errors.AsType[*pflag.NotExistError](err); ok {
		return unknownFlag(cmd, e)
	}
	if e, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		what, _ := pflag.UnquoteUsage(e.GetFlag())
		return fmt.Errorf("--%s: a value must follow it (%s)", e.GetFlag().Name, what)
	}
	if e, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		if m, ok := errors.AsType[*misuse](e.Unwrap()); ok {
			return fmt.Errorf("--%s: %s", e.GetFlag().Name, m.text)
		}
		return fmt.Errorf("--%s %q: %w", e.GetFlag().Name, e.GetValue(), e.Unwrap())
	}
	if e, ok := errors.AsType[*pflag.InvalidSyntaxError](err); ok {
		return fmt.Errorf("%s: not a flag", e.GetSpecifiedFlag())
	}
	return err
}

func unknownFlag(cmd *cobra.Command, e *pflag.NotExistError) error {
	typed := "--" + e.GetSpecifiedName()
	if short := e.GetSpecifiedShortnames(); short != "" {
		return fmt.Errorf("-%s: %s has no such flag; flags of more than a letter begin with --", short, cmd.CommandPath())
	}
	known := map[string]string{}
	cmd.Flags().VisitAll(func(f *pflag.Flag) { known[f.Name] = "--" + f.Name })
	for _, sub := range cmd.Commands() {
		known[sub.Name()] = sub.CommandPath()
	}
	return fmt.Errorf("%s: %s has no such flag%s", shortened(typed), cmd.CommandPath(), didYouMean(e.GetSpecifiedName(), known))
}

// noArguments refuses words behind a verb that takes none.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s takes no arguments, not %q", cmd.CommandPath(), shortened(args[0]))
	}
	return nil
}

// oneArgument refuses more words than one behind a verb that takes what is named.
func oneArgument(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 {
			return fmt.Errorf("%s takes one %s, not %d arguments", cmd.CommandPath(), what, len(args))
		}
		if len(args) == 1 && args[0] == "" {
			return fmt.Errorf("%s: it is empty; name one or leave it out", what)
		}
		return nil
	}
}

// onlyVerbs refuses a word that is no verb of a group of verbs.
func onlyVerbs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	known := map[string]string{}
	for _, sub := range cmd.Commands() {
		known[sub.Name()] = sub.CommandPath()
	}
	return fmt.Errorf("%s has no verb %q%s", cmd.CommandPath(), shortened(args[0]), didYouMean(args[0], known))
}

// usageError is an error about the command line, as one sentence. Words of ours end
// in what to read next.
func usageError(cmd *cobra.Command, err error) error {
	return client.Usagef("%s; see %s --help", strings.Join(strings.Fields(err.Error()), " "), cmd.CommandPath())
}

// wantsJSON reports whether the command line asks for JSON, also where it is not
// understood.
func wantsJSON(cmd *cobra.Command, args []string) bool {
	if cmd.Flags().Lookup("json") == nil {
		return false
	}
	for _, arg := range args {
		if arg == "--" {
			return false
		}
		text, given := strings.CutPrefix(arg, "--json=")
		if on, err := strconv.ParseBool(text); arg == "--json" || (given && err == nil && on) {
			return true
		}
	}
	return false
}
