// Package web holds the pages that a gateway serves: the console at /, quotes at
// /ticker, a user's notifications at /notifications and a conversation with a worker at
// /chat. The ticker and the notifications have a button that cuts the connection, so that
// one sees it resume; an answer is to be reloaded in its middle.
//
// The pages are written in TypeScript under src. Their bundle is committed in dist
// and embedded from there, so that building the gateway needs Go alone; "npm run
// check" compares dist with a fresh build of src.
//
// What the package promises:
//   - Files whose names carry a hash of their content may be cached for ever.
//     Everything else carries an ETag and is asked for anew each time, so that a
//     browser never mixes the pages of two releases.
//   - A page <name>.html is at /<name>, index.html at /.
//   - The pages run under a content security policy that allows no origin but its
//     own, nothing inline, and no markup made from strings.
//   - What is not in dist is a 404 (there is no fallback to a page), and a
//     method other than GET and HEAD a 405.
//
// What it does not promise: anything about /v1. The pages are clients of the
// gateway like any other, and find it by relative URLs, so that all can be served
// below a path prefix.
//
// Concurrency: a handler is immutable and may serve any number of requests.
package web
