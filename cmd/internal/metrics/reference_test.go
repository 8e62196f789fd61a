package metrics_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ringcast/cmd/internal/metrics"
)

var update = flag.Bool("update", false, "rewrite the table in deploy/METRICS.md")

func TestReference(t *testing.T) {
	const path, begin = "../../../deploy/METRICS.md", "<!-- metrics -->\n"
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, have, ok := strings.Cut(string(page), begin)
	if !ok {
		t.Fatalf("%s lacks the line %q before the table", path, begin)
	}
	var want strings.Builder
	if err := metrics.WriteReference(&want); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(path, []byte(head+begin+want.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want.String(), have); diff != "" {
		t.Errorf("the table is out of date; run: make reference\n(-want +have):\n%s", diff)
	}
}
