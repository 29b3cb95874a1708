package session

import "strings"

// Environ reads an environment as the kernel hands it over (/proc/PID/environ): NAME=VALUE,
// each ended by a zero byte. Of several of one name the last counts. pam_exec puts what
// PAM says behind what modules have set, and people may have had pam_env set any name;
// getenv(3) and [os.Getenv] take the first.
func Environ(block []byte) func(name string) string {
	values := map[string]string{}
	for pair := range strings.SplitSeq(string(block), "\x00") {
		if name, value, ok := strings.Cut(pair, "="); ok {
			values[name] = value
		}
	}
	return func(name string) string { return values[name] }
}
