package contract

import (
	"fmt"
	"slices"
)

// unenforced is what terms can say and nothing enforces yet: each with the paths
// of the terms where it stands. It shrinks as enforcement grows.
var unenforced = []struct {
	what  string // after the path, what does not happen
	where func(t *Terms) []string
}{
	{"nobody else is asked when a stage is silent; the request would just expire", stagesWith("escalate", func(s *Stage) bool { return s.Escalate != nil })},
	{"no delegate can stand in", stagesWith("delegates", func(s *Stage) bool { return len(s.Delegates) > 0 })},
	{"a decision is given in a session and in no stronger way", stagesWith("assurance", func(s *Stage) bool { return s.Assurance != "" && s.Assurance != ApprovalSession })},
	{"nobody can let themselves in", rolesWith("break_glass", func(r *Role) bool { return r.BreakGlass != nil })},
	{"it is not known who has which manager", rolesWith("duties.not_same_manager", func(r *Role) bool { return len(r.Duties.NotSameManager) > 0 })},
	{"nobody is asked to acknowledge anything", rolesWith("acknowledge", func(r *Role) bool { return r.Acknowledge })},
	{"no role is suspended by itself", func(t *Terms) []string {
		var out []string
		for _, o := range t.Obligations {
			if o.Else == SuspendRole {
				out = append(out, "obligations."+o.ID+".else")
			}
		}
		return out
	}},
}

// Unenforced lists what the terms say and this release does not enforce, as
// "path: what does not happen", sorted. A version with any of it is refused when it
// is proposed: signed words that nothing keeps would be worse than none. The rest
// of the package reads and compares such terms as all others.
func Unenforced(t *Terms) []string {
	var out []string
	for _, u := range unenforced {
		for _, path := range u.where(t) {
			out = append(out, path+": "+u.what)
		}
	}
	slices.Sort(out)
	return out
}

func rolesWith(key string, has func(*Role) bool) func(*Terms) []string {
	return func(t *Terms) []string {
		var out []string
		for i := range t.Roles {
			if has(&t.Roles[i]) {
				out = append(out, "roles."+t.Roles[i].ID+"."+key)
			}
		}
		return out
	}
}

func stagesWith(key string, has func(*Stage) bool) func(*Terms) []string {
	return func(t *Terms) []string {
		var out []string
		for _, r := range t.Roles {
			for p := range r.Paths {
				for s := range r.Paths[p].Stages {
					if has(&r.Paths[p].Stages[s]) {
						out = append(out, fmt.Sprintf("roles.%s.paths[%d].stages[%d].%s", r.ID, p, s, key))
					}
				}
			}
		}
		return out
	}
}
