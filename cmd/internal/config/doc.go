// Package config is Ringcast's configuration, defined once: the fields of
// [Config] with their tags. The flags, the environment variables, the keys of
// the YAML file and the reference in README.md all come from there.
//
// What it promises:
//   - A flag wins over the environment, that over the file, that over the default.
//   - Every value is checked before it is handed out, wherever it came from. An
//     error is one line: the flag, variable or key, the value, what is allowed.
//   - A key of the file that no setting has is an error. An environment variable
//     is only a warning: Kubernetes puts variables of its own into every pod, and
//     for a service named "ringcast" they begin with RINGCAST_.
//   - The NATS URL, which may carry a password or token, is printed redacted by
//     everything but [NATSURL.Reveal].
//
// What it does not promise: that a value works. Whether the port is free or the
// server answers is seen on start.
//
// Concurrency: a Config is a plain value; loading has no state of its own.
package config
