package metrics

import (
	"fmt"
	"io"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// WriteReference writes the reference of all metrics of Ringcast's own as a Markdown
// table.
func WriteReference(w io.Writer) error {
	var b strings.Builder
	b.WriteString("| metric | type | labels | what |\n| --- | --- | --- | --- |\n")
	for _, f := range append(families[:len(families):len(families)], buildInfo) {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.name, kindName(f.kind), describe(f.labels), f.help)
	}
	for _, d := range distributions {
		fmt.Fprintf(&b, "| `%s` | histogram | | %s |\n", d.name, d.help)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func kindName(kind prometheus.ValueType) string {
	if kind == counter {
		return "counter"
	}
	return "gauge"
}

func describe(labels []label) string {
	var parts []string
	for _, l := range labels {
		part := "`" + l.name + "`"
		if len(l.values) > 0 {
			part += ": `" + strings.Join(l.values, "`, `") + "`"
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "; ")
}
