package contract

import "fmt"

// Sentences says in plain words what the amendment changes, a line for each
// change, in the order of Changes.
func (c Comparison) Sentences() []string {
	out := make([]string, len(c.Changes))
	for i, change := range c.Changes {
		out[i] = change.sentence()
	}
	return out
}

func (c Change) sentence() string {
	var s string
	switch {
	case c.Old == "" && c.New == "":
		s = c.Path + " changes"
	case c.Old == "":
		s = c.Path + " is new: " + c.New
	case c.New == "":
		s = c.Path + " goes; it was " + c.Old
	default:
		s = fmt.Sprintf("%s: %s becomes %s", c.Path, c.Old, c.New)
	}
	switch c.Class {
	case Equivalent:
		s += ", which allows the same"
	case Narrowing:
		s += ", which allows less"
	case Widening:
		s += ", which allows more"
	case Mixed:
		s += ", which allows more here and less there, or can't be compared"
	}
	if w := c.Witness; w != nil {
		s += fmt.Sprintf("; a request for %s with %v was %s and is now %s", w.Role, w.Facts, w.Old, w.New)
	}
	return s
}
