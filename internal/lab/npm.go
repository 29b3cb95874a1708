package lab

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
)

// NodeModules returns where scripts/npm.sh has installed what the
// package-lock.json of a lab's folder names: name is that of the folder, lock the
// file's text.
func NodeModules(name string, lock []byte) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("npm packages of %s: %w", name, err)
	}
	sum := sha256.Sum256(lock)
	dir := filepath.Join(cache, "sallyport", name+"-"+hex.EncodeToString(sum[:8]), "node_modules")
	if _, err := os.Stat(filepath.Join(dir, ".complete")); err != nil {
		return "", fmt.Errorf("npm packages of %s are not installed (%w); run scripts/npm.sh", name, err)
	}
	return dir, nil
}
