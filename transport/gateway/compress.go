package gateway

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"
)

// acceptsGzip reports whether a client wants its response compressed (RFC 9110,
// section 12.5.3): it names gzip, its old name x-gzip, or else the wildcard, with a
// weight above zero and not below that of identity where it names that too.
//
// By that section a request without the field accepts any coding, but what sends
// none cannot be relied on to decode one. In doubt, also where a coding is named
// twice or the weight of gzip makes no sense, the answer is no: every client reads
// a stream that is not compressed.
func acceptsGzip(h http.Header) bool {
	weights := make(map[string]float64, 3)
	for _, field := range h.Values(echo.HeaderAcceptEncoding) {
		for element := range strings.SplitSeq(field, ",") {
			coding, params, _ := strings.Cut(element, ";")
			coding = strings.ToLower(strings.TrimSpace(coding))
			switch coding {
			case "x-gzip":
				coding = "gzip"
			case "gzip", "identity", "*":
			default:
				continue
			}
			q := weight(params)
			if first, named := weights[coding]; named {
				q = min(q, first) // NaN where either is
			}
			weights[coding] = q
		}
	}
	gzip, named := weights["gzip"]
	if !named {
		gzip = weights["*"]
	}
	return gzip > 0 && gzip >= weights["identity"]
}
