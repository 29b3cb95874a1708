package contract

// mayTake tells whether a request of a human can come to path i of the role, as
// far as its guards look at groups.
func (l *linter) mayTake(*Role, int, int, bool) bool { return true }
