package client

import (
	"fmt"

	"github.com/sallyport/sallyport/contract"
)

// changeWords says one change in a line.
func changeWords(c contract.Change) string {
	text := fmt.Sprintf("%s: %s", c.Path, c.Class)
	if c.Constitutional {
		text += ", constitutional"
	}
	switch {
	case c.Old == "":
		return text + ": " + c.New + " is new"
	case c.New == "":
		return text + ": " + c.Old + " is gone"
	}
	return text + ": " + c.Old + " becomes " + c.New
}
