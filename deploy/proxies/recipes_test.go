package proxies_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// command is a command of README.md, over as many lines as it has.
var command = regexp.MustCompile("(?m)^ringcast serve (?:.*\\\\\n)*.*$")

// What README.md says about production starts as it stands there. Its files are these
// here, and its addresses free ones.
func TestRecipes(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(readme), "\n## In production\n")
	section, _, _ = strings.Cut(section, "\n## ")
	recipes := command.FindAllString(section, -1)
	if len(recipes) != 3 {
		t.Fatalf("%d recipes", len(recipes))
	}
	dir := t.TempDir()
	for _, name := range []string{"jwt-secret", "ticket-key"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.Repeat("k", 32)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{"genpkey", "-algorithm", "ed25519", "-out", filepath.Join(dir, "key")},
		{"pkey", "-in", filepath.Join(dir, "key"), "-pubout", "-out", filepath.Join(dir, "jwt-public.pem")},
	} {
		if out, err := exec.Command("openssl", args...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	for _, recipe := range recipes {
		t.Run(recipe, func(t *testing.T) {
			text := strings.ReplaceAll(recipe, "/etc/ringcast/", dir+"/")
			text = strings.Replace(text, "ringcast serve", "exec "+program+" serve", 1) +
				" --listen 127.0.0.2:0 --nats-listen -1 --data-dir " + t.TempDir()
			run(t, exec.Command("sh", "-c", text)).awaitLine("ringcast is ready")
		})
	}
}
