// Package deploy_test holds the pages of this folder to the rest of the tree.
package deploy_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every test that SECURITY.md names is there, and every threat has one.
func TestSecurity(t *testing.T) {
	page, err := os.ReadFile("SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	tests := goTests(t)
	rows := 0
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(strings.Trim(line, "|\n"), " | ")
		if len(cells) != 3 || strings.HasPrefix(cells[0], " threat") || strings.HasPrefix(cells[0], " ---") {
			continue
		}
		rows++
		named := regexp.MustCompile("`((?:Test|Fuzz)[^`]*)`").FindAllStringSubmatch(cells[2], -1)
		if len(named) == 0 {
			t.Errorf("nothing shows that there is an answer to:%s", cells[0])
		}
		for _, match := range named {
			if !tests[match[1]] {
				t.Errorf("there is no test %s, which is to show the answer to:%s", match[1], cells[0])
			}
		}
	}
	if rows < 20 {
		t.Errorf("%d threats found on the page", rows)
	}
}

// goTests returns the names of all tests and fuzz targets of the module.
func goTests(t *testing.T) map[string]bool {
	t.Helper()
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w*)\(`)
	tests := make(map[string]bool)
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "node_modules" || entry.Name() == ".git"):
			return filepath.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, match := range declared.FindAllStringSubmatch(string(source), -1) {
			tests[match[1]] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tests
}
