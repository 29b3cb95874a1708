package contracts_test

import (
	"testing"

	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/examples/contracts"
)

// TestExamplesLoad: each example makes a version, says nothing that is not enforced,
// and no lint has a fault to find in it.
func TestExamplesLoad(t *testing.T) {
	t.Parallel()
	for _, name := range contracts.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files, err := contracts.Files(name)
			if err != nil {
				t.Fatal(err)
			}
			people := files["people.yaml"]
			delete(files, "people.yaml")
			if len(people) == 0 || len(files) != 2 {
				t.Fatalf("it has the files %v", files)
			}
			manifest, err := contract.NewManifest(files)
			if err != nil {
				t.Fatal(err)
			}
			files[contract.ManifestFile] = manifest
			v, err := contract.Load(files)
			if err != nil {
				t.Fatal(err)
			}
			if lacking := contract.Unenforced(v.Terms); len(lacking) > 0 {
				t.Errorf("it says what is not enforced: %v", lacking)
			}
			for _, f := range contract.Lint(contract.LintInput{Terms: v.Terms, TermsText: files[contract.TermsFile], Prose: files[contract.ProseFile]}) {
				if f.Severity != contract.SeverityInfo {
					t.Errorf("%s %s: %s", f.Code, f.Path, f.Message)
				}
			}
		})
	}
	if _, err := contracts.Files("nothing"); err == nil {
		t.Error("an example that is not there")
	}
}
