package config

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// EnvPrefix begins the names of the environment variables.
const EnvPrefix = "RINGCAST_"

// setting is one field of Config with its tags.
type setting struct {
	name, def, doc, min, max string
	hint                     string // the tag allowed
	field                    reflect.Value
}

// settings returns the settings of c in the order of its fields.
func settings(c *Config) []setting {
	fields := reflect.ValueOf(c).Elem()
	list := make([]setting, fields.NumField())
	for i := range list {
		tag := fields.Type().Field(i).Tag
		list[i] = setting{
			name: tag.Get("name"), def: tag.Get("default"), doc: tag.Get("doc"),
			min: tag.Get("min"), max: tag.Get("max"), hint: tag.Get("allowed"),
			field: fields.Field(i),
		}
	}
	return list
}

// env returns the name of the setting's environment variable.
func (s setting) env() string {
	return EnvPrefix + strings.ToUpper(strings.ReplaceAll(s.name, "-", "_"))
}

// list reports whether the setting takes several values.
func (s setting) list() bool {
	return s.field.Kind() == reflect.Slice || s.secret()
}

// secret reports whether the value must not be repeated.
func (s setting) secret() bool {
	_, ok := s.field.Interface().(NATSURL)
	return ok
}

// kind names the setting's type in a word, for the help text of its flag.
func (s setting) kind() string {
	switch s.field.Interface().(type) {
	case bool:
		return "bool"
	case int64:
		return "count"
	case time.Duration:
		return "duration"
	case Size:
		return "size"
	case Address, OptionalAddress:
		return "address"
	case NATSURL:
		return "urls"
	case File:
		return "file"
	case Subjects, Origins, Algorithms, Rules, Prefixes, Patterns, Filter:
		return "list"
	}
	return "text"
}

// allowed says what may be written.
func (s setting) allowed() string {
	text := s.hint
	switch v := s.field.Interface().(type) {
	case interface{ allowed() string }:
		text = v.allowed()
	case bool:
		text = "true or false"
	case int64:
		text = "a whole number"
	case time.Duration:
		text = "a duration such as 1m30s"
	}
	switch {
	case s.min != "" && s.max != "":
		text += ", from " + s.min + " to " + s.max
	case s.min != "":
		text += ", at least " + s.min
	}
	return text
}

// String returns the value as one would write it in the file, redacted where it
// is secret.
func (s setting) String() string {
	switch v := s.field.Interface().(type) {
	case time.Duration:
		return shortDuration(v)
	case Subjects:
		return strings.Join(v, ",")
	case Origins:
		return strings.Join(v, ",")
	case Algorithms:
		return strings.Join(v, ",")
	case Rules:
		texts := make([]string, len(v))
		for i, rule := range v {
			texts[i] = rule.String()
		}
		return strings.Join(texts, ",")
	default:
		return fmt.Sprint(v)
	}
}

// shortDuration drops the zero minutes and seconds that time.Duration writes:
// 168h0m0s is 168h.
func shortDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// set reads text, checks it against the bounds and stores it. An error says
// what is wrong with the text.
func (s setting) set(text string) error {
	v := reflect.New(s.field.Type())
	if err := parse(v.Interface(), text); err != nil {
		return err
	}
	if s.min != "" && s.compare(v.Elem(), s.min) < 0 {
		return errors.New("is too small")
	}
	if s.max != "" && s.compare(v.Elem(), s.max) > 0 {
		return errors.New("is too large")
	}
	s.field.Set(v.Elem())
	return nil
}

// compare returns whether v, an integer of some kind, is below, at or above the
// bound.
func (s setting) compare(v reflect.Value, bound string) int {
	b := reflect.New(s.field.Type())
	if err := parse(b.Interface(), bound); err != nil {
		panic(fmt.Sprintf("bound of setting %s: %v", s.name, err)) // a mistake in a tag
	}
	switch have, want := v.Int(), b.Elem().Int(); {
	case have < want:
		return -1
	case have > want:
		return 1
	}
	return 0
}

// parse reads text into what p points to.
func parse(p any, text string) (err error) {
	switch p := p.(type) {
	case encoding.TextUnmarshaler:
		return p.UnmarshalText([]byte(text))
	case *string:
		if *p = text; text == "" {
			err = errors.New("is empty")
		}
	case *bool:
		if *p, err = strconv.ParseBool(text); err != nil {
			err = errors.New("is neither true nor false")
		}
	case *int64:
		if *p, err = strconv.ParseInt(text, 10, 64); err != nil {
			err = errors.New("is not a whole number")
		}
	case *time.Duration:
		if *p, err = time.ParseDuration(text); err != nil {
			err = errors.New("is not a duration")
		}
	default:
		panic(fmt.Sprintf("a setting of type %T", p))
	}
	return err
}
