package config

import (
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
)

// FileFlag is the flag that names the configuration file, and FileEnv the
// environment variable.
const (
	FileFlag = "config"
	FileEnv  = EnvPrefix + "CONFIG"
)

// ClientURLEnv is the environment variable for the gateway's URL that the
// commands which call a gateway share. It is none of a server's settings.
const ClientURLEnv = EnvPrefix + "URL"

// TokenFileEnv is that for the file with their token.
const TokenFileEnv = EnvPrefix + "TOKEN_FILE"

// Loaded is a configuration with what is worth telling about how it came about.
type Loaded struct {
	Config
	// Warnings are variables of the environment that look like settings and are
	// none.
	Warnings []string

	origins map[string]string // setting → where its value comes from
}

// IsSet reports whether the setting was given rather than left at its default.
func (l *Loaded) IsSet(name string) bool { return l.origins[name] != defaultOrigin }

const defaultOrigin = "default"

// AddFlags adds a flag for every setting, and the one for the file.
func AddFlags(flags *pflag.FlagSet) {
	flags.String(FileFlag, "", "YAML file with the settings below as keys (environment: "+FileEnv+")")
	for _, s := range settings(new(Config)) {
		flag := flags.VarPF(&flagText{def: s.def, kind: s.kind(), list: s.list()}, s.name, "", s.doc)
		if s.kind() == "bool" {
			flag.NoOptDefVal = "true"
		}
	}
	flags.SortFlags = false
}

// Load returns the configuration from the flags, the environment (as os.Environ
// returns it) and the file that one of the two names. Every error is one of use:
// it names a flag, a variable or a key.
func Load(flags *pflag.FlagSet, environ []string) (*Loaded, error) {
	l := &Loaded{origins: map[string]string{}}
	layers := []layer{defaults(), {}, environment(environ), flagLayer(flags)}
	if path := filePath(flags, environ); path != "" {
		layers[1] = fileLayer(path)
	}
	merged := koanf.New(keyDelim)
	for _, layer := range layers {
		if err := l.add(merged, layer); err != nil {
			return nil, err
		}
	}
	if err := l.read(merged); err != nil {
		return nil, err
	}
	if err := l.check(); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	return l, nil
}

// keyDelim separates the levels of nested keys. No setting is nested, so a key
// that contains it is an unknown one.
const keyDelim = "."

// layer is one source of settings.
type layer struct {
	provider koanf.Provider
	parser   koanf.Parser
	origin   func(key string) string // how the source itself calls the setting
	strict   bool                    // an unknown key is an error, else a warning
	name     string                  // for an error of the provider
}

func defaults() layer {
	values := map[string]any{}
	for _, s := range settings(new(Config)) {
		values[s.name] = s.def
	}
	return layer{
		provider: confmap.Provider(values, ""),
		origin:   func(string) string { return defaultOrigin },
		strict:   true,
	}
}

func fileLayer(path string) layer {
	return layer{
		provider: file.Provider(path),
		parser:   yaml.Parser(),
		origin:   func(key string) string { return path + ": " + key },
		strict:   true,
		name:     " file " + path,
	}
}

// cause drops the path from an error of the file system, whose caller names it.
func cause(err error) error {
	if pathErr := (*fs.PathError)(nil); errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}

// environment takes the variables that begin with EnvPrefix. An empty one counts
// as not set: it is what `VAR=${VAR:-}` in a compose file or unit file comes to.
func environment(environ []string) layer {
	key := func(name, value string) (string, any) {
		if value == "" || name == FileEnv || name == ClientURLEnv || name == TokenFileEnv || isServiceLink(name) {
			return "", nil
		}
		return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, EnvPrefix), "_", "-")), value
	}
	return layer{
		provider: env.Provider("", env.Opt{
			Prefix:        EnvPrefix,
			TransformFunc: key,
			EnvironFunc:   func() []string { return environ },
		}),
		origin: func(key string) string { return setting{name: key}.env() },
	}
}

func flagLayer(flags *pflag.FlagSet) layer {
	return layer{
		provider: posflag.ProviderWithFlag(flags, "", nil, func(f *pflag.Flag) (string, any) {
			if text, ok := f.Value.(*flagText); ok {
				return f.Name, text.String()
			}
			return "", nil // --help, --config
		}),
		origin: func(key string) string { return "--" + key },
		strict: true,
	}
}

// filePath returns the configuration file's path, empty where there is none.
func filePath(flags *pflag.FlagSet, environ []string) string {
	if flag := flags.Lookup(FileFlag); flag != nil && flag.Changed {
		return flag.Value.String()
	}
	for _, entry := range environ {
		if name, value, _ := strings.Cut(entry, "="); name == FileEnv {
			return value
		}
	}
	return ""
}

// isServiceLink reports whether Kubernetes makes a variable of this name for a
// service named ringcast or ringcast-something
// (https://kubernetes.io/docs/tutorials/services/connect-applications-service/#environment-variables).
func isServiceLink(name string) bool {
	return strings.HasSuffix(name, "_PORT") || strings.HasSuffix(name, "_SERVICE_HOST") ||
		strings.Contains(name, "_SERVICE_PORT") || strings.Contains(name, "_PORT_")
}

// add merges a layer over those before it.
func (l *Loaded) add(merged *koanf.Koanf, from layer) error {
	if from.provider == nil {
		return nil
	}
	own := koanf.New(keyDelim)
	if err := own.Load(from.provider, from.parser); err != nil {
		return fmt.Errorf("configuration%s: %w", from.name, cause(err))
	}
	for _, key := range own.Keys() {
		switch known := isSetting(key); {
		case known:
			l.origins[key] = from.origin(key)
		case from.strict:
			return fmt.Errorf("%s: unknown setting%s", from.origin(key), suggestion(key, from.origin))
		default:
			own.Delete(key)
			l.Warnings = append(l.Warnings, from.origin(key)+": unknown setting, ignored"+suggestion(key, from.origin))
		}
	}
	return merged.Merge(own)
}

// read stores the merged values in the fields.
func (l *Loaded) read(merged *koanf.Koanf) error {
	for _, s := range settings(&l.Config) {
		text, err := s.text(merged.Get(s.name))
		if err == nil {
			err = s.set(text)
		}
		switch {
		case err == nil:
		case s.secret():
			return fmt.Errorf("%s %w: allowed is %s", l.origins[s.name], err, s.allowed())
		default:
			return fmt.Errorf("%s %q %w: allowed is %s", l.origins[s.name], text, err, s.allowed())
		}
	}
	return nil
}

// text returns a value as it comes from a layer as one text. YAML has types: a
// bare number or a list are what they look like.
func (s setting) text(value any) (string, error) {
	switch v := value.(type) {
	case string:
		return v, nil
	case nil:
		return "", errors.New("has no value")
	case float64: // 1e9
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	case []any:
		if !s.list() {
			return fmt.Sprint(v), errors.New("is a list")
		}
		parts := make([]string, len(v))
		for i, part := range v {
			parts[i] = fmt.Sprint(part)
		}
		return strings.Join(parts, ","), nil
	}
	if reflect.TypeOf(value).Kind() == reflect.Map {
		return fmt.Sprint(value), errors.New("is a map")
	}
	return fmt.Sprint(value), nil
}

func isSetting(key string) bool {
	return slices.ContainsFunc(settings(new(Config)), func(s setting) bool { return s.name == key })
}

// suggestion names the setting that an unknown key may have been meant for, as
// the key's own source would write it.
func suggestion(key string, write func(string) string) string {
	var names []string
	for _, s := range settings(new(Config)) {
		names = append(names, s.name)
	}
	near, ok := Nearest(key, names)
	if !ok {
		return ""
	}
	return ": did you mean " + write(near) + "?"
}

// flagText is a flag's value as given. It takes any text: values are checked
// together, whatever their source. A list collects what repeated flags give.
type flagText struct {
	def, kind string
	list      bool
	given     []string
}

func (t *flagText) Set(text string) error {
	if !t.list {
		t.given = nil
	}
	t.given = append(t.given, text)
	return nil
}

func (t *flagText) String() string {
	if t.given == nil {
		return t.def
	}
	return strings.Join(t.given, ",")
}

func (t *flagText) Type() string { return t.kind }
