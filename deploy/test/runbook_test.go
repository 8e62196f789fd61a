package deploy_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

const runbookFile = "../RUNBOOK.md"

// Each alert has its section, and each section of alerts its alert.
func TestRunbook_Alerts(t *testing.T) {
	book, err := os.ReadFile(runbookFile)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../prometheus/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var rules struct {
		Groups []struct{ Rules []struct{ Alert string } }
	}
	if err := yaml.Unmarshal(text, &rules); err != nil {
		t.Fatal(err)
	}
	headings := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^### (Ringcast[A-Za-z]+)$`).FindAllStringSubmatch(string(book), -1) {
		headings[m[1]] = true
	}
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			if !headings[rule.Alert] {
				t.Errorf("the runbook does not say what to do at %s", rule.Alert)
			}
			delete(headings, rule.Alert)
		}
	}
	for name := range headings {
		t.Errorf("the runbook has %s, which is no alert", name)
	}
}

// What the runbook names is there: files, metrics and settings.
func TestRunbook_Names(t *testing.T) {
	book, err := os.ReadFile(runbookFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`\]\(([^)#]+)\)`).FindAllStringSubmatch(string(book), -1) {
		if strings.Contains(m[1], "://") {
			continue
		}
		if _, err := os.Stat(filepath.Join(filepath.Dir(runbookFile), m[1])); err != nil {
			t.Error(err)
		}
	}
	metrics, err := os.ReadFile("../METRICS.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range regexp.MustCompile(`ringcast_[a-z_]+`).FindAllString(string(book), -1) {
		if !strings.Contains(string(metrics), "`"+name+"`") {
			t.Errorf("%s is no metric", name)
		}
	}
	settings, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("`--([a-z-]+)").FindAllStringSubmatch(string(book), -1) {
		if !strings.Contains(string(settings), "| `--"+m[1]+"` |") {
			t.Errorf("--%s is no setting", m[1])
		}
	}
}
