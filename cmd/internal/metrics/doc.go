// Package metrics shows what a running broker does as Prometheus metrics.
//
//	m := metrics.New(metrics.Build{Version: "1.2.3"})
//	… start the parts, with m.Committed, m.Resumed, m.Sink and m.Publisher …
//	m.Watch(metrics.Parts{Ring: ring, Gateway: server, …})
//	http.Handle("/metrics", m.Handler())
//
// Most metrics are read from what the parts count anyway, at the moment of a scrape:
// families.go lists them all. Only distributions have to be observed as they come, in
// histograms that have native buckets and classic ones. deploy/METRICS.md is made of
// these lists.
//
// What it promises:
//   - Nothing is counted twice, and a counter never goes back while the process lives.
//   - An event costs nothing on its way to a client. A batch, a commit, a resume and a
//     publication cost one observation each, of about 50 ns.
//   - The number of time series does not depend on what clients send: every label has
//     a fixed list of values.
//
// What it does not promise: that the values of one scrape are of one moment.
//
// Concurrency: everything may be called from any goroutine, [Metrics.Watch] once.
package metrics
