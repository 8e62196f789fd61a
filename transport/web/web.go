package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed all:dist
var dist embed.FS

// contentTypes are the types of the files that a bundle may contain. The table is
// our own because mime.TypeByExtension asks the host, and a host that calls .js
// text/plain leaves a blank page behind "nosniff".
var contentTypes = map[string]string{
	".css":   "text/css; charset=utf-8",
	".html":  "text/html; charset=utf-8",
	".js":    "text/javascript; charset=utf-8",
	".json":  "application/json",
	".map":   "application/json",
	".png":   "image/png",
	".svg":   "image/svg+xml",
	".txt":   "text/plain; charset=utf-8",
	".woff2": "font/woff2",
}

// securityHeaders go with every answer, errors too.
var securityHeaders = map[string]string{
	// Event data is whatever a producer wrote. Should it ever reach the DOM as
	// markup, there is nothing it could run, load or send to.
	"Content-Security-Policy": strings.Join([]string{
		"default-src 'none'",
		"script-src 'self'",
		"style-src 'self'",
		"img-src 'self'",
		"connect-src 'self'",
		"base-uri 'none'",
		"form-action 'none'",
		"frame-ancestors 'none'",
		"require-trusted-types-for 'script'",
		"trusted-types 'none'",
	}, "; "),
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Permissions-Policy":           "camera=(), geolocation=(), microphone=()",
	"Referrer-Policy":              "no-referrer",
	"X-Content-Type-Options":       "nosniff",
}

const (
	// hashedDir is where the bundler puts the files that it names by content.
	hashedDir = "/assets/"

	cacheForever    = "public, max-age=31536000, immutable"
	cacheRevalidate = "no-cache"
)

// Handler serves the embedded pages, the console at /, and their assets below.
func Handler() http.Handler {
	root, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(fmt.Errorf("open the embedded pages: %w", err)) // the path is a constant
	}
	h, err := newHandler(root)
	if err != nil {
		panic(fmt.Errorf("read the embedded pages: %w", err)) // it is in memory
	}
	return h
}

// file is one file of the bundle, ready to be sent.
type file struct {
	content     []byte
	contentType string
	cache       string
	etag        string
}

// handler serves files by their URL path.
type handler struct {
	files map[string]file
}

// newHandler reads every file of root.
func newHandler(root fs.FS) (*handler, error) {
	h := &handler{files: make(map[string]file)}
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		f, err := newFile("/"+name, content)
		if err != nil {
			return err
		}
		h.files[urlPath(name)] = f
		return nil
	})
	return h, err
}

// newFile decides how the file with this URL path is sent.
func newFile(urlPath string, content []byte) (file, error) {
	contentType, ok := contentTypes[path.Ext(urlPath)]
	if !ok {
		return file{}, fmt.Errorf("%s: no content type for %q", urlPath, path.Ext(urlPath))
	}
	sum := sha256.Sum256(content)
	f := file{
		content:     content,
		contentType: contentType,
		cache:       cacheRevalidate,
		etag:        `"` + hex.EncodeToString(sum[:16]) + `"`,
	}
	if strings.HasPrefix(urlPath, hashedDir) {
		f.cache = cacheForever
	}
	return f, nil
}

// urlPath returns where the file with this name in the bundle is served: an
// index.html at its directory, another page without its extension, anything else
// at its name. Pages are at one level, so that relative URLs mean the same on each.
func urlPath(name string) string {
	page, isPage := strings.CutSuffix(name, ".html")
	if !isPage {
		return "/" + name
	}
	if dir, base := path.Split(page); base == "index" {
		return "/" + dir
	}
	return "/" + page
}

// ServeHTTP answers GET and HEAD of a file, conditional and range requests
// included.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	for name, value := range securityHeaders {
		header.Set(name, value)
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		header.Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	f, ok := h.files[r.URL.Path]
	if !ok {
		header.Set("Cache-Control", cacheRevalidate)
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	header.Set("Content-Type", f.contentType)
	header.Set("Cache-Control", f.cache)
	header.Set("ETag", f.etag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.content))
}
