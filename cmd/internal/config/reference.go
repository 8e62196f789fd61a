package config

import (
	"fmt"
	"io"
	"strings"
)

// WriteReference writes the reference of all settings as a Markdown table.
func WriteReference(w io.Writer) error {
	var b strings.Builder
	b.WriteString("| flag | environment | default | allowed | what it does |\n")
	b.WriteString("| --- | --- | --- | --- | --- |\n")
	for _, s := range settings(new(Config)) {
		def := "(empty)"
		if s.def != "" {
			def = "`" + s.def + "`"
		}
		fmt.Fprintf(&b, "| `--%s` | `%s` | %s | %s | %s |\n", s.name, s.env(), def, escape(s.allowed()), escape(s.doc))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// escape protects what Markdown would take for markup in a table's cell.
func escape(text string) string {
	return strings.NewReplacer("|", `\|`, "*", `\*`, "<", `\<`, `\`, `\\`).Replace(text)
}

// Write writes the configuration as a file of settings, each with where its
// value comes from. Secrets are redacted.
func (l *Loaded) Write(w io.Writer) error {
	var b strings.Builder
	for _, s := range settings(&l.Config) {
		fmt.Fprintf(&b, "%s: %s # %s\n", s.name, quoteYAML(s.String()), l.origins[s.name])
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// quoteYAML returns text as a YAML scalar: bare where YAML reads it back as the
// same value, else in double quotes, whose escapes are those of Go.
func quoteYAML(text string) string {
	if text == "" || strings.ContainsAny(text, "#*>&!%@`'\"{}[],|\\ ") || strings.Contains(text, ": ") {
		return fmt.Sprintf("%q", text)
	}
	return text
}
