package gateway

import (
	"net/http"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
)

func acceptEncoding(fields ...string) http.Header {
	return http.Header{echo.HeaderAcceptEncoding: fields}
}

func TestAcceptsGzip(t *testing.T) {
	for _, c := range []struct {
		name   string
		fields []string
		want   bool
	}{
		{name: "no field", fields: nil, want: false},
		{name: "empty", fields: []string{""}, want: false},
		{name: "Go, Python", fields: []string{"gzip"}, want: true},
		{name: "browser", fields: []string{"gzip, deflate, br, zstd"}, want: true},
		{name: "curl", fields: []string{"deflate, gzip, br, zstd"}, want: true},
		{name: "two fields", fields: []string{"br", "gzip;q=0.2"}, want: true},
		{name: "old name", fields: []string{"x-gzip"}, want: true},
		{name: "case", fields: []string{"GZip"}, want: true},
		{name: "weight", fields: []string{"gzip;q=0.001"}, want: true},
		{name: "spaces", fields: []string{" br\t,\tgzip ; Q=0.5 "}, want: true},
		{name: "empty elements", fields: []string{",, ,gzip,"}, want: true},
		{name: "wildcard", fields: []string{"*"}, want: true},
		{name: "wildcard among others", fields: []string{"br;q=1, *;q=0.1"}, want: true},
		{name: "all but the named", fields: []string{"gzip, *;q=0"}, want: true},
		{name: "as good as identity", fields: []string{"identity, gzip"}, want: true},
		{name: "identity refused", fields: []string{"identity;q=0, gzip;q=0.5"}, want: true},

		{name: "others", fields: []string{"br, zstd, deflate, compress"}, want: false},
		{name: "identity", fields: []string{"identity"}, want: false},
		{name: "identity preferred", fields: []string{"identity, gzip;q=0.5"}, want: false},
		{name: "identity preferred to any", fields: []string{"identity;q=1, *;q=0.5"}, want: false},
		{name: "refused", fields: []string{"gzip;q=0"}, want: false},
		{name: "refused, in full", fields: []string{"gzip;q=0.000"}, want: false},
		{name: "refused, any other", fields: []string{"gzip;q=0, *"}, want: false},
		{name: "refused by the old name", fields: []string{"x-gzip;q=0, *"}, want: false},
		{name: "all refused", fields: []string{"*;q=0"}, want: false},
		{name: "both", fields: []string{"gzip", "gzip;q=0"}, want: false},
		{name: "both names", fields: []string{"gzip;q=0, x-gzip"}, want: false},
		{name: "a longer name", fields: []string{"gzipped, xgzip, gzip2"}, want: false},
		{name: "no comma", fields: []string{"br gzip"}, want: false},
		{name: "in a parameter", fields: []string{"br;gzip"}, want: false},
		{name: "weight of nothing", fields: []string{"gzip;q="}, want: false},
		{name: "weight of rubbish", fields: []string{"gzip;q=high"}, want: false},
		{name: "negative weight", fields: []string{"gzip;q=-1, *"}, want: false},
		{name: "not a number", fields: []string{"gzip;q=nan, *"}, want: false},
		{name: "not a number among others", fields: []string{"gzip, gzip;q=nan, gzip"}, want: false},
	} {
		if got := acceptsGzip(acceptEncoding(c.fields...)); got != c.want {
			t.Errorf("%s: acceptsGzip(%q) = %t", c.name, c.fields, got)
		}
	}
}

// FuzzAcceptsGzip: nobody gets gzip who has not named it or the wildcard, and
// whatever else a field says, nobody who refuses it by name.
func FuzzAcceptsGzip(f *testing.F) {
	for _, field := range []string{"gzip, deflate, br", "x-gzip;q=0.5,*;q=0", ";;,,=;q", "identity;q=nan,gzip;q=1e9", "GZIP;q=\x00"} {
		f.Add(field)
	}
	f.Fuzz(func(t *testing.T, field string) {
		if acceptsGzip(acceptEncoding(field)) && !strings.Contains(strings.ToLower(field), "gzip") && !strings.Contains(field, "*") {
			t.Errorf("%q accepts gzip", field)
		}
		for _, fields := range [][]string{{field, "gzip;q=0"}, {"x-gzip;q=0", field}, {"gzip;q=0," + field}} {
			if acceptsGzip(acceptEncoding(fields...)) {
				t.Errorf("%q accepts gzip", fields)
			}
		}
	})
}
