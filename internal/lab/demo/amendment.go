package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/sallyport/sallyport/client"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/internal/lab/site"
	"github.com/sallyport/sallyport/sshcert"
)

// fewWords is a reason that version 1 does not let pass, and version 2 does.
const fewWords = "disk full"

// amendSteps tell how the rules change: by an amendment that is signed, and by
// nothing else.
func (s *story) amendSteps() []step {
	return []step{
		{"An amendment is drafted, and what it does is computed", s.draft},
		{"Unsigned it is nothing, and version 1 goes on", s.unsigned},
		{"Its owner signs it with stock ssh-keygen, and version 2 is in force", s.amended},
	}
}

func (s *story) amendmentDir() string { return s.Dir.Path("amendment") }

func (s *story) draft(ctx context.Context) (string, error) {
	if _, err := s.Owner.Must(ctx, "sally", "contract", "new", s.amendmentDir(), "--from", s.ContractDir()); err != nil {
		return "", err
	}
	for file, change := range map[string][2]string{
		contract.TermsFile: {"min_words: 3", "min_words: 2"},
		contract.ProseFile: {"three words or more", "two words or more"},
	} {
		path := filepath.Join(s.amendmentDir(), file)
		text, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		if strings.Count(strings.ReplaceAll(string(text), "\n", " "), change[0]) != 1 {
			return "", wrong("%s does not say %q once", file, change[0])
		}
		s.tell.Typed("the owner", fmt.Sprintf("writes %q for %q in %s", change[1], change[0], file))
		spread := strings.ReplaceAll(change[0], " ", "\n")
		for _, was := range []string{change[0], spread} {
			text = []byte(strings.ReplaceAll(string(text), was, change[1]))
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			return "", err
		}
	}
	r, err := s.Owner.Must(ctx, "sally", "contract", "class", s.ContractDir(), s.amendmentDir())
	if err != nil {
		return "", err
	}
	if err := contains(r.Stdout, "widening", "roles."+site.RoleID+".request.reason.min_words"); err != nil {
		return "", err
	}
	r, err = s.Owner.Must(ctx, "sally", "contract", "propose", s.amendmentDir(), "--parent", s.ContractDir())
	if err != nil {
		return "", err
	}
	return "it is widening: a reason of two words was refused, and would pass", contains(r.Stdout, "widening")
}

// askBriefly has Alice ask with a reason of two words.
func (s *story) askBriefly(ctx context.Context, code int) (string, error) {
	r, err := s.Alice.Run(ctx, "sally", "request", s.Principal(site.Web1), "--for", "5m", "--because", fewWords, "--new", "--no-wait", "--json")
	if err != nil {
		return "", err
	}
	return r.Output, site.Exit(r, code, "sally request")
}

func (s *story) unsigned(ctx context.Context) (string, error) {
	r, err := s.Alice.Run(ctx, "sally", "contract", "send", s.amendmentDir())
	if err != nil {
		return "", err
	}
	if err := site.Exit(r, client.ExitFailed, "sally contract send"); err != nil {
		return "", err
	}
	if err := contains(r.Output, "the signature of at least one who may sign it"); err != nil {
		return "", err
	}
	out, err := s.askBriefly(ctx, client.ExitForbidden)
	if err != nil {
		return "", err
	}
	return "exit 7: clause §4 asks for three words", contains(out, "3 or more words")
}

func (s *story) amended(ctx context.Context) (string, error) {
	statement := filepath.Join(s.amendmentDir(), contract.StatementPath("acme", "c-owner"))
	if _, err := s.Owner.Must(ctx, "ssh-keygen", "-Y", "sign", "-n", sshcert.NamespaceContract, "-f", s.SignatoryKey(), statement); err != nil {
		return "", err
	}
	r, err := s.Owner.Must(ctx, "sally", "contract", "verify", s.ContractDir(), s.amendmentDir(), "--version1", s.contract.Digest.String())
	if err != nil {
		return "", err
	}
	r, err = s.Alice.Must(ctx, "sally", "contract", "send", s.amendmentDir())
	if err != nil {
		return "", err
	}
	if err := contains(r.Stdout, "version 2", "in-force"); err != nil {
		return "", err
	}
	out, err := s.askBriefly(ctx, client.ExitOK)
	if err != nil {
		return "", err
	}
	if err := contains(out, `"version": 2`); err != nil {
		return "", err
	}
	if r, err = s.Alice.Must(ctx, "sally", "contract", "history"); err != nil {
		return "", err
	}
	return "exit 0; the same request is made under version 2", contains(r.Stdout, "superseded", "in-force")
}
