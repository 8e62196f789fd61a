// Package web holds the page that a gateway serves at /: quotes and
// notifications that arrive by Server-Sent Events, and a button that cuts the
// connection so that one sees it resume with nothing missing.
//
// The page is written in TypeScript under src. Its bundle is committed in dist
// and embedded from there, so that building the gateway needs Go alone; "npm run
// check" compares dist with a fresh build of src.
//
// What the package promises:
//   - Files whose names carry a hash of their content may be cached for ever.
//     Everything else carries an ETag and is asked for anew each time, so that a
//     browser never mixes the pages of two releases.
//   - The page runs under a content security policy that allows no origin but its
//     own, nothing inline, and no markup made from strings.
//   - What is not in dist is a 404 (there is no fallback to the page), and a
//     method other than GET and HEAD a 405.
//
// What it does not promise: anything about /v1. The page is a client of the
// gateway like any other, and finds it by relative URLs, so that both can be
// served below a path prefix.
//
// Concurrency: a handler is immutable and may serve any number of requests.
package web
