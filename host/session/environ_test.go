package session_test

import (
	"testing"

	"github.com/sallyport/sallyport/host/session"
)

// TestPromiseP09_WhatPAMSaysLastCounts: what stands in front of it somebody may have had
// a module write.
func TestPromiseP09_WhatPAMSaysLastCounts(t *testing.T) {
	t.Parallel()
	getenv := session.Environ([]byte("PAM_TYPE=open_session\x00=x\x00junk\x00A=b=c\x00PAM_USER=root\x00PAM_USER=ops\x00PAM_TYPE=close_session\x00EMPTY=\x00"))
	for name, want := range map[string]string{"PAM_TYPE": "close_session", "PAM_USER": "ops", "A": "b=c", "EMPTY": "", "NONE": "", "junk": ""} {
		if got := getenv(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}
